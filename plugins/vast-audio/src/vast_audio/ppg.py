"""``audio/ppg``: phone posteriors, one row per video frame."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import attrs
import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from vast_core.errors import WeightsError
from vast_core.interfaces import SAMPLE_RATE, AudioFeatures, Sizes
from vast_core.phones import PHONES
from vast_core.runs import load_into, load_weights

from .acoustic_model import BANDS, MARGIN, STEP_RATE, AcousticModel
from .blocks import BLOCK
from .config import PpgConfig
from .spectrum import WINDOW, MelEnergy, at_frames, checked, steps_per_frame
from .whisper import mel_filters

SHIPPED = Path(__file__).with_name("ppg.safetensors")
"""The weights inside the package; the header lists their training data."""
_AT_ONCE = 8
"""Windows of each wave per batch."""


@attrs.frozen
class StepClock:
    """Positions of the analysis steps in a wave at a frame rate."""

    fps: float

    @property
    def per_frame(self) -> int:
        """Steps per video frame."""
        return steps_per_frame(self.fps, STEP_RATE)

    @property
    def hop(self) -> float:
        """Samples between steps."""
        return SAMPLE_RATE / (self.fps * self.per_frame)

    def samples(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Centres of the two windows of every step: on the step, and half way to the next."""
        pairs = np.stack([steps, steps + 0.5], axis=1).ravel() * self.hop
        return np.rint(pairs).astype(np.int64)


class Ppg(AudioFeatures):
    """Row t is the posterior of the 40 labels of :data:`vast_core.phones.PHONES` around t / fps seconds.

    softmax(logits / temperature) at about 50 steps per second, aligned with the video frames, and averaged with a
    triangle of one frame on either side; each row sums to 1.
    """

    block = BLOCK

    def __init__(self, fps: float, temperature: float, model: AcousticModel) -> None:
        super().__init__()
        self.temperature = temperature
        self.clock = StepClock(fps)
        self.energy = MelEnergy(mel_filters(BANDS).numpy())
        self.model = model
        self.steps = (BLOCK + 1) * self.clock.per_frame - 1 + 2 * MARGIN
        """Steps of a window: those of its block of frames, one frame around it, and the margins."""
        ahead = (self.steps - MARGIN) * self.clock.hop + WINDOW / 2  # samples after a block's first frame
        self.receptive_field = ahead / SAMPLE_RATE

    @classmethod
    def from_config(cls, config: PpgConfig, sizes: Sizes) -> Self:
        """Build for the recipe's frame rate. Raises :class:`vast_core.errors.WeightsError` for a bad file."""
        model = AcousticModel().requires_grad_(False)
        if not model.last.weight.is_meta:
            load_model(model, config.weights or SHIPPED)
        return cls(sizes.fps, config.temperature, model)

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Posteriors (B, T, 40), float32, of wave (B, S); see :class:`vast_core.interfaces.AudioFeatures`.

        Raises :class:`vast_core.errors.InputError` if a sample is not a number.
        """
        wave = checked(wave)
        rows = []
        for first in range(0, frames, BLOCK * _AT_ONCE):
            count = min(_AT_ONCE, -(-(frames - first) // BLOCK))
            rows.append(self._rows(wave, first, count))
        return torch.cat(rows, dim=1)[:, :frames]

    def _rows(self, wave: Tensor, first: int, count: int) -> Tensor:
        """Posteriors (B, count * BLOCK, 40) of ``count`` blocks, starting with frame ``first``."""
        stride = BLOCK * self.clock.per_frame
        start = (first - 1) * self.clock.per_frame + 1 - MARGIN
        numbers = np.arange(start, start + (count - 1) * stride + self.steps)
        energy = self.energy(wave, self.clock.samples(numbers)).unflatten(1, (len(numbers), 2))
        windows = rearrange(energy.unfold(1, self.steps, stride), "b block two band n -> (b block) n two band")
        logits = self.model(self.model.features(windows), MARGIN).float()
        posteriors = torch.softmax(logits / self.temperature, dim=-1)
        rows = at_frames(posteriors, self.clock.per_frame)
        return rearrange(rows, "(b block) t a -> b (block t) a", block=count)


def load_model(model: nn.Module, path: Path) -> None:
    """Load ``model`` from ``path``; raises :class:`vast_core.errors.WeightsError` if the file does not fit."""
    tensors, header = load_weights(path)
    phones = tuple(header.get("phones", ()))
    if phones != PHONES:
        raise WeightsError(
            f"{path}: has the labels {' '.join(phones) or '(none)'}, not {' '.join(PHONES)}; train again"
        )
    load_into(model, {name: tensor.float() for name, tensor in tensors.items()}, path)
