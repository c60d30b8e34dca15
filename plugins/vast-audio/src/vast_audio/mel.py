"""``audio/mel``: log energies in mel bands, one row a video frame."""

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
"""Of ln(energy + floor) over speech at -23 dBFS, 40 bands, measured; fixed, so that a chunk equals the whole."""


class Mel(AudioFeatures):
    """Row t is the mean of (ln(energy + 1e-8) + 12.4) / 3.7 over the windows around t / fps seconds.

    About 100 windows a second are laid out in step with the video frames and weighted by a triangle of a frame to
    either side. Speech at -23 dBFS has about zero mean and unit variance; silence is at -1.63 in every band.
    """

    def __init__(self, bands: int, fps: float) -> None:
        super().__init__()
        # more than 64 bands are narrower than the bins of 512
        self.energy = MelEnergy(mel_filters(bands, 512 if bands <= 64 else 1024))
        self.per_frame = steps_per_frame(fps, 100.0)
        self.hop = SAMPLE_RATE / (fps * self.per_frame)
        self.context = 1 / fps + WINDOW / 2 / SAMPLE_RATE

    @classmethod
    def from_config(cls, config: MelConfig, sizes: Sizes) -> Self:
        """Build for the recipe's frame rate."""
        return cls(config.bands, sizes.fps)

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Features (B, T, A) of wave (B, S); see :class:`vast_core.interfaces.AudioFeatures`.

        Raises :class:`vast_core.errors.InputError` where a sample is not a number.
        """
        wave = checked(wave)
        blocks = []
        for steps in step_blocks(frames, self.per_frame):
            energy = self.energy(wave, np.rint(steps * self.hop).astype(np.int64))
            blocks.append(at_frames(((energy + _FLOOR).log() - _MEAN) / _SCALE, self.per_frame))
        return torch.cat(blocks, dim=1)
