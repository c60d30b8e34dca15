"""``audio/ppg_whisper``: phone posteriors by the encoder of Whisper tiny.en, one row per video frame."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from vast_core.interfaces import AudioFeatures, Sizes
from vast_core.phones import PHONE_INDEX, PHONES, SILENCE

from .blocks import BLOCK, Blocks
from .config import PpgWhisperConfig
from .spectrum import full_precision
from .whisper import CENTRE, STEP, WhisperPhones

_REACH = 2.0
"""Seconds of context on either side of a block. On clean speech 81.0 % of phones are correct with it, 79.9 % with 1 s,
81.1 % with 3 s, and 81.7 % in windows of 23 s."""
_NOTHING = 1e-8
"""Mean square, -80 dB, below which a step is digital silence or dither, in which the network detects false phones."""
_QUIET_STEPS = 8
"""Steps on either side that must be as quiet, so that the closure of a stop is not taken for a pause."""


class PpgWhisper(AudioFeatures):
    """Row t is the posterior of the 40 labels of :data:`vast_core.phones.PHONES` around t / fps seconds.

    softmax(logits / temperature) 50 times a second, and silence where there is no sound for 0.17 s on either side;
    each row sums to 1. The network is frozen. :mod:`vast_audio.blocks` describes how windows become rows.
    """

    block = BLOCK

    def __init__(self, fps: float, temperature: float, weights: Path | None) -> None:
        super().__init__()
        self.temperature = temperature
        self.model = WhisperPhones(weights)
        self.blocks = Blocks(fps, reach=_REACH, step=STEP, centre=CENTRE)
        self.receptive_field = self.blocks.receptive_field

    @classmethod
    def from_config(cls, config: PpgWhisperConfig, sizes: Sizes) -> Self:
        """Build for the recipe's frame rate.

        Raises :class:`vast_core.errors.WeightsError`, with instructions, if there are no weights.
        """
        return cls(sizes.fps, config.temperature, config.weights)

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Posteriors (B, T, 40), float32, of wave (B, S); see :class:`vast_core.interfaces.AudioFeatures`."""
        rows: Tensor = self.blocks(wave, frames, self._posteriors)
        return rows

    def _posteriors(self, windows: Tensor) -> Tensor:
        """Posteriors (W, N, 40) at the steps of windows (W, S)."""
        with full_precision(windows):
            windows = windows.float()
            windows = windows - windows.mean(-1, keepdim=True)
            power = windows.unfold(1, STEP, STEP).var(-1, correction=0)
            loudest = functional.max_pool1d(power[:, None], 2 * _QUIET_STEPS + 1, 1, _QUIET_STEPS)[:, 0]
        posteriors = torch.softmax(self.model(windows).float() / self.temperature, dim=-1)
        silence = functional.one_hot(torch.tensor(PHONE_INDEX[SILENCE], device=windows.device), len(PHONES))
        return torch.where((loudest < _NOTHING)[..., None], silence.to(posteriors.dtype), posteriors)
