"""Audio features that are learned in the style stage."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import SAMPLE_RATE, AudioFeatures, Sizes

from .config import LearnedConfig

WINDOW = 640


class Learned(AudioFeatures):
    """Row t is W ln(|spectrum|^2 + 1e-4) + b of a Hann window of 40 ms around t / fps; W and b are learned."""

    trainable: ClassVar = True
    receptive_field = WINDOW / 2 / SAMPLE_RATE
    window: Tensor

    def __init__(self, width: int, fps: float) -> None:
        super().__init__()
        self.fps = fps
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.read = nn.Linear(WINDOW // 2 + 1, width)

    @classmethod
    def from_config(cls, config: LearnedConfig, sizes: Sizes) -> Self:
        """Make one for the recipe's frame rate."""
        return cls(config.width, sizes.fps)

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Rows (B, T, A)."""
        times = torch.arange(frames, device=wave.device, dtype=torch.float64) / self.fps
        centres = (times * SAMPLE_RATE).round().long()
        needed = round((frames - 1) / self.fps * SAMPLE_RATE) + WINDOW + 1
        heard = functional.pad(wave, (WINDOW // 2, max(0, needed - wave.shape[1])))
        index = centres[:, None] + torch.arange(WINDOW, device=wave.device)
        power = torch.fft.rfft(heard[:, index].float() * self.window).abs().square()
        rows: Tensor = self.read((power + 1e-4).log()).float()
        return rows
