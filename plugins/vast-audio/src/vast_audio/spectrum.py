"""Energy in mel bands at given times of a wave, and the placement of analysis steps relative to video frames.

There is a whole number of analysis steps per video frame, so step ``k * per_frame`` is frame ``k`` at any frame rate.
No other grid has to be resampled, and a chunk that starts with a frame has the same steps as the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE

WINDOW = 400
"""Samples of one analysis window: 25 ms."""
LOUDEST = 1e6
"""Largest accepted sample, 120 dB over full scale (our choice); larger values are not sound."""
_BLOCK = 2048
"""Analysis steps, and windows, in memory at a time."""


def steps_per_frame(fps: float, rate: float) -> int:
    """Analysis steps per video frame, so that the ratio of steps per second to ``rate`` is nearest to 1."""
    below = max(1, int(rate / fps))
    return min((below, below + 1), key=lambda count: abs(math.log(count * fps / rate)))


def mel_filters(bands: int, fft: int, low: float = 60.0, high: float = 7600.0) -> NDArray[np.float32]:
    """Triangles (``fft`` // 2 + 1, bands) with peak 1, equally spaced in mel = 2595 lg(1 + Hz / 700)."""
    first, last = (2595 * math.log10(1 + hertz / 700) for hertz in (low, high))
    edges = 700 * (10 ** (np.linspace(first, last, bands + 2) / 2595) - 1)
    bins = np.arange(fft // 2 + 1)[:, None] * SAMPLE_RATE / fft
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters: NDArray[np.float32] = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return filters


class MelEnergy(nn.Module):
    """Energy in mel bands of Hann windows of 25 ms; a sine at full scale has 1 (0 dB) in the bin at its frequency.

    ``filters`` (F, bands) are the weights in each band of the F bins of the transform, up to half the sample rate.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, filters: NDArray[np.float32]) -> None:
        super().__init__()
        self.fft = 2 * (len(filters) - 1)
        hann = np.hanning(WINDOW + 1)[:-1]
        self.register_buffer("window", torch.as_tensor((2 / hann.sum() * hann).astype(np.float32)), persistent=False)
        self.register_buffer("filters", torch.as_tensor(filters), persistent=False)

    def forward(self, wave: Tensor, centres: NDArray[np.int64]) -> Tensor:
        """Energies (B, N, bands), float32, of wave (B, S) around the samples ``centres`` (N,), ascending.

        The wave is padded with silence. The mean of each window is subtracted, so a DC offset has no effect.
        """
        first, last = int(centres[0]) - WINDOW // 2, int(centres[-1]) + WINDOW // 2
        low = min(max(first, 0), wave.shape[1])
        high = min(max(last, low), wave.shape[1])
        before = min(max(-first, 0), last - first)
        with full_precision(wave):
            heard = wave[:, low:high].float()
            padded = nn.functional.pad(heard, (before, last - first - before - (high - low)))
            starts = centres - centres[0]
            blocks = []
            for number in range(0, len(starts), _BLOCK):
                index = starts[number : number + _BLOCK, None] + np.arange(WINDOW)
                windows = padded[:, torch.as_tensor(index, device=wave.device)]
                windows = (windows - windows.mean(-1, keepdim=True)) * self.window
                spectrum = torch.fft.rfft(windows, n=self.fft)
                blocks.append((spectrum.real.square() + spectrum.imag.square()) @ self.filters)
            return torch.cat(blocks, dim=1)


def checked(wave: Tensor) -> Tensor:
    """Return ``wave`` (B, S) unchanged.

    Raises :class:`vast_core.errors.InputError` if a sample is not a number or exceeds :data:`LOUDEST`; an exported
    graph cannot.
    """
    if wave.is_meta or torch.compiler.is_exporting() or not wave.numel():
        return wave
    least, greatest = (float(bound) for bound in wave.detach().aminmax())
    if not -LOUDEST <= least <= greatest <= LOUDEST:
        row, sample = (~(wave.abs() <= LOUDEST)).nonzero()[0].tolist()
        where = f"sound {row} of {len(wave)}, sample {sample} ({sample / SAMPLE_RATE:.3f} s)"
        raise InputError(f"{where}: {float(wave[row, sample])} is not sound; give samples within [-1, 1]")
    return wave


def at_frames(rows: Tensor, per_frame: int) -> Tensor:
    """Rows (B, T, A) for video frames, from rows (B, (T + 1) * per_frame - 1, A) at analysis steps.

    Row t is the mean of the steps less than one frame from t / fps, weighted by a triangle that is 0 at one frame; the
    first input row belongs to step 1 - per_frame.
    """
    triangle = per_frame - (torch.arange(2 * per_frame - 1, device=rows.device) - per_frame + 1).abs()
    weights = triangle.to(rows.dtype) / per_frame**2
    return (rows.unfold(1, 2 * per_frame - 1, per_frame) * weights).sum(-1)


def step_blocks(frames: int, per_frame: int) -> Iterator[NDArray[np.int64]]:
    """Numbers of the steps that :func:`at_frames` needs, for some frames at a time.

    All blocks together cover ``frames`` frames; the memory of one block does not grow with their number.
    """
    count = max(1, _BLOCK // per_frame)
    for first in range(0, frames, count):
        last = min(first + count, frames)
        yield np.arange((first - 1) * per_frame + 1, last * per_frame)


def full_precision(wave: Tensor) -> AbstractContextManager[object]:
    """Disable autocast, which would round energies to bfloat16; the meta device has none."""
    return nullcontext() if wave.is_meta else torch.autocast(wave.device.type, enabled=False)
