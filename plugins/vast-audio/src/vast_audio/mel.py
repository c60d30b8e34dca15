"""``audio/mel``: log energies in mel bands, one row per video frame."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor

from vast_core.interfaces import SAMPLE_RATE, AudioFeatures, Sizes

from .config import MelConfig
from .spectrum import WINDOW, MelEnergy, at_frames, checked, mel_filters, step_blocks, steps_per_frame

_FLOOR = 1e-8
_MEAN, _SCALE = -12.4, 3.7
"""Mean and scale of ln(energy + floor) over speech at -23 dBFS with 40 bands, measured and fixed for all sound."""


class Mel(AudioFeatures):
    """Row t is the mean of (ln(energy + 1e-8) + 12.4) / 3.7 over the windows around t / fps seconds.

    About 100 windows per second are aligned with the video frames and weighted by a triangle of one frame on either
    side. Speech at -23 dBFS has about zero mean and unit variance; silence is -1.63 in every band.
    """

    def __init__(self, bands: int, fps: float) -> None:
        super().__init__()
        # with more than 64 bands, the lowest are narrower than the bins of a transform of 512
        self.energy = MelEnergy(mel_filters(bands, 512 if bands <= 64 else 1024))
        self.per_frame = steps_per_frame(fps, 100.0)
        self.hop = SAMPLE_RATE / (fps * self.per_frame)
        self.receptive_field = 1 / fps + WINDOW / 2 / SAMPLE_RATE

    @classmethod
    def from_config(cls, config: MelConfig, sizes: Sizes) -> Self:
        """Build for the recipe's frame rate."""
        return cls(config.bands, sizes.fps)

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Features (B, T, A) of wave (B, S); see :class:`vast_core.interfaces.AudioFeatures`.

        Raises :class:`vast_core.errors.InputError` if a sample is not a number.
        """
        wave = checked(wave)
        blocks = []
        for steps in step_blocks(frames, self.per_frame):
            energy = self.energy(wave, np.rint(steps * self.hop).astype(np.int64))
            blocks.append(at_frames(((energy + _FLOOR).log() - _MEAN) / _SCALE, self.per_frame))
        return torch.cat(blocks, dim=1)
