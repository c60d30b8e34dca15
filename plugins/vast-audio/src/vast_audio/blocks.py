"""Rows from networks that process a whole window at once: fixed windows around fixed blocks of video frames.

Where every step attends to every other, a row depends on where the given sound begins and ends. Rows are therefore
computed :data:`BLOCK` frames at a time, always from the same window around them. A chunk that starts a whole number of
blocks after the beginning then equals the whole; memory does not grow with the sound.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import SAMPLE_RATE

from .spectrum import checked, full_precision

BLOCK = 32
"""Frames that are computed together."""
_AT_ONCE = 4
"""Windows per batch."""


class Blocks(nn.Module):
    """Where the windows lie at a frame rate, and how their steps are averaged into rows.

    Row t is the mean of the steps around t / fps seconds, weighted by a triangle of one frame on either side, or of one
    step if that is longer.
    """

    weights: Tensor

    def __init__(self, fps: float, reach: float, step: int, centre: float, extra: int = 0) -> None:
        """Set up windows with ``reach`` seconds on either side of a block.

        Steps are ``step`` samples apart, the centre of the first one ``centre`` samples after the start of its window;
        a window of n * step + ``extra`` samples has n steps.
        """
        super().__init__()
        self.fps = fps
        self.lead = round(reach * SAMPLE_RATE)
        steps = math.ceil((BLOCK / fps + 2 * reach) * SAMPLE_RATE / step)
        self.samples = steps * step + extra
        frames = self.lead + np.arange(BLOCK)[:, None] / fps * SAMPLE_RATE
        away = np.abs(np.arange(steps) * step + centre - frames)
        triangles = np.maximum(0.0, 1 - away / max(SAMPLE_RATE / fps, step))
        weights = (triangles / triangles.sum(1, keepdims=True)).astype(np.float32)
        self.register_buffer("weights", torch.as_tensor(weights), persistent=False)
        self.receptive_field = (self.samples - self.lead) / SAMPLE_RATE

    def forward(self, wave: Tensor, frames: int, hear: Callable[[Tensor], Tensor]) -> Tensor:
        """Rows (B, T, A) of wave (B, S); ``hear`` maps windows (W, samples) to steps (W, N, A).

        Raises :class:`vast_core.errors.InputError` if a sample is not a number.
        """
        wave = checked(wave)
        starts = self._starts(frames)
        rows = []
        for first in range(0, len(starts), _AT_ONCE):
            windows = torch.stack([self._window(wave, int(s)) for s in starts[first : first + _AT_ONCE]], dim=1)
            steps = hear(windows.flatten(0, 1)).float()
            with full_precision(wave):
                heard = self.weights @ steps
            rows.append(heard.reshape(len(wave), -1, heard.shape[-1]))
        return torch.cat(rows, dim=1)[:, :frames]

    def _starts(self, frames: int) -> NDArray[np.int64]:
        """First sample of each window."""
        first = np.arange(0, frames, BLOCK) / self.fps * SAMPLE_RATE
        return np.rint(first).astype(np.int64) - self.lead

    def _window(self, wave: Tensor, start: int) -> Tensor:
        """Samples (B, samples) from ``start``; the wave is padded with silence."""
        stop = start + self.samples
        inside = wave[:, min(max(start, 0), wave.shape[1]) : max(min(stop, wave.shape[1]), 0)]
        before = min(max(-start, 0), self.samples)
        return functional.pad(inside, (before, self.samples - before - inside.shape[1]))
