"""``audio/ppg``: phone posteriors; ``audio/acoustic``: the activations that they are computed from."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Self

import torch
from einops import rearrange
from torch import Tensor, nn

from vast_core.errors import WeightsError
from vast_core.interfaces import SAMPLE_RATE, AudioFeatures, Sizes
from vast_core.phones import PHONES
from vast_core.runs import load_into, load_weights

from .acoustic_model import AcousticModel
from .config import AcousticConfig, PpgConfig
from .spectrum import at_frames, checked
from .step_windows import StepWindows, mel_energy

SHIPPED = Path(__file__).with_name("ppg.safetensors")
"""The weights inside the package; the header lists their training data."""


class _OfModel(AudioFeatures):
    """Rows of the acoustic model, about 50 per second, averaged with a triangle of one frame on either side."""

    def __init__(self, fps: float, model: AcousticModel, look_ahead: float | None) -> None:
        super().__init__()
        self.windows = StepWindows.of(fps, look_ahead)
        self.energy = mel_energy()
        self.model = model
        self.block = self.windows.block
        self.look_ahead = self.windows.ahead / SAMPLE_RATE
        self.receptive_field = max(self.windows.ahead, self.windows.past) / SAMPLE_RATE

    @abstractmethod
    def steps(self, energy: Tensor, before: int, after: int) -> Tensor:
        """Rows (B, N - before - after, A) of the energies (B, N, 2, bands) of a window."""

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Rows (B, T, A), float32, of wave (B, S); see :class:`vast_core.interfaces.AudioFeatures`.

        Raises :class:`vast_core.errors.InputError` if a sample is not a number.
        """
        return self.rows(wave, 0, frames)

    def rows(self, wave: Tensor, start: int, stop: int) -> Tensor:
        """The rows from ``start`` to ``stop`` alone, because the windows of blocks do not depend on each other."""
        wave = checked(wave)
        first = start // self.block * self.block
        rows = []
        for energy, count in self.windows.batches(self.energy, wave, first, stop):
            steps = self.steps(energy, self.windows.before, self.windows.after).float()
            block = at_frames(steps, self.windows.clock.per_frame)
            rows.append(rearrange(block, "(b count) t a -> b (count t) a", count=count))
        return torch.cat(rows, dim=1)[:, start - first : stop - first]


class Ppg(_OfModel):
    """Row t is the posterior of the 40 labels of :data:`vast_core.phones.PHONES` around t / fps seconds.

    softmax(logits / temperature), averaged over the steps around the frame; each row sums to 1.
    """

    def __init__(self, fps: float, temperature: float, model: AcousticModel, look_ahead: float | None = None) -> None:
        super().__init__(fps, model, look_ahead)
        self.temperature = temperature

    @classmethod
    def from_config(cls, config: PpgConfig, sizes: Sizes) -> Self:
        """Build for the recipe's frame rate. Raises :class:`vast_core.errors.WeightsError` for a bad file, and
        :class:`vast_core.errors.InputError` for a look-ahead shorter than a frame."""
        return cls(sizes.fps, config.temperature, _loaded(config.weights), config.look_ahead)

    def steps(self, energy: Tensor, before: int, after: int) -> Tensor:
        """Posteriors of a window."""
        logits = self.model(self.model.features(energy), before, after).float()
        return torch.softmax(logits / self.temperature, dim=-1)


class Acoustic(_OfModel):
    """Row t is the output of the last layer below the head of ``audio/ppg`` around t / fps seconds, 384 values.

    It has about zero mean and unit variance. It also holds what moves lips without telling phones apart: how loud,
    how fast and how clearly something is said; and something of who says it.
    """

    @classmethod
    def from_config(cls, config: AcousticConfig, sizes: Sizes) -> Self:
        """Build for the recipe's frame rate. Raises :class:`vast_core.errors.WeightsError` for a bad file, and
        :class:`vast_core.errors.InputError` for a look-ahead shorter than a frame."""
        return cls(sizes.fps, _loaded(config.weights), config.look_ahead)

    def steps(self, energy: Tensor, before: int, after: int) -> Tensor:
        """Activations of a window."""
        return self.model.lower_end(self.model.features(energy), before, after)


def _loaded(weights: Path | None) -> AcousticModel:
    model = AcousticModel().requires_grad_(False)
    if not model.last.weight.is_meta:
        load_model(model, weights or SHIPPED)
    return model


def load_model(model: nn.Module, path: Path) -> None:
    """Load ``model`` from ``path``; raises :class:`vast_core.errors.WeightsError` if the file does not fit."""
    tensors, header = load_weights(path)
    phones = tuple(header.get("phones", ()))
    if phones != PHONES:
        raise WeightsError(
            f"{path}: has the labels {' '.join(phones) or '(none)'}, not {' '.join(PHONES)}; train again"
        )
    load_into(model, {name: tensor.float() for name, tensor in tensors.items()}, path)
