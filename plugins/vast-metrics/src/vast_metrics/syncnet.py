"""SyncNet as released: its network, layer by layer, and its cepstra.

Layers have the names of the released weights, which can therefore be loaded directly; the shapes are those of
https://github.com/joonson/syncnet_python.

References: J. S. Chung and A. Zisserman, Out of time: automated lip sync in the wild, 2016.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from torch import Tensor, nn

from vast_core.interfaces import SAMPLE_RATE

PICTURE = 224
"""Height and width of its pictures in pixels."""
FRAMES, FPS = 5, 25.0
"""Frames per input, and the only supported frame rate."""
ROWS = 20
"""Rows of cepstra for these frames, at 100 per second."""
ROWS_A_FRAME = 4
WIDTH = 1024
"""Width of an embedding."""


class SyncNet(nn.Module):
    """Embeddings of 0.2 s of sound and of the face at the same time, close to each other if they are synchronous."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64, 3, padding=1),
            nn.MaxPool2d(1, 1),
            *_flat(64, 192, 3, padding=1),
            nn.MaxPool2d(3, (1, 2)),
            *_flat(192, 384, 3, padding=1),
            *_flat(384, 256, 3, padding=1),
            *_flat(256, 256, 3, padding=1),
            nn.MaxPool2d(3, 2),
            *_flat(256, 512, (5, 4)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(256, 512, (1, 6, 6)),
        )

    def hear(self, cepstra: Tensor) -> Tensor:
        """Embeddings (N, 1024) of cepstra (N, 1, 13, 20)."""
        found: Tensor = self.netfcaud(self.netcnnaud(cepstra).flatten(1))
        return found

    def see(self, pictures: Tensor) -> Tensor:
        """Embeddings (N, 1024) of pictures (N, 3, 5, 224, 224), blue first, from 0 to 255."""
        found: Tensor = self.netfclip(self.netcnnlip(pictures).flatten(1))
        return found


def _flat(inside: int, out: int, kernel: int | tuple[int, int], padding: int = 0) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inside, out, kernel, padding=padding), nn.BatchNorm2d(out), nn.ReLU()


def _deep(
    inside: int,
    out: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int] = (1, 1, 1),
    padding: tuple[int, int, int] = (0, 0, 0),
) -> tuple[nn.Module, ...]:
    return nn.Conv3d(inside, out, kernel, stride, padding), nn.BatchNorm3d(out), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))


# ------------------------------------------------------------------------------------------------------- cepstra

_WINDOW, _STEP, _POINTS, _FILTERS, _CEPSTRA = 400, 160, 512, 26, 13
_EMPHASIS, _LIFTER = 0.97, 22


def cepstra(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mel-frequency cepstra (N, 13), 100 rows per second, of a wave (S,) in [-1, 1] at 16 kHz, in 16-bit steps.

    Rectangular windows of 25 ms, the last one padded with zeros; 26 triangular filters from 0 to 8 kHz; the first
    coefficient is the logarithm of the frame's energy; lifter 22: the defaults of python_speech_features 0.6.
    """
    samples = np.clip(np.round(wave.astype(np.float64) * 32768), -32768, 32767)
    samples = np.append(samples[:1], samples[1:] - _EMPHASIS * samples[:-1])
    count = 1 + max(0, -(-(len(samples) - _WINDOW) // _STEP))
    padded = np.pad(samples, (0, max(0, (count - 1) * _STEP + _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_STEP][:count]
    power = np.abs(np.fft.rfft(frames, _POINTS)) ** 2 / _POINTS
    smallest = np.finfo(float).eps
    energy = np.maximum(power.sum(1), smallest)
    bands = np.maximum(power @ _filters().T, smallest)
    rows = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :_CEPSTRA]
    rows *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_CEPSTRA) / _LIFTER)
    rows[:, 0] = np.log(energy)
    return np.asarray(rows, np.float64)


def _filters() -> NDArray[np.float64]:
    """Triangles (26, 257) between edges equally spaced on the mel scale, at whole bins."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_POINTS + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(_POINTS // 2 + 1)
    triangles = np.zeros((_FILTERS, len(bins)))
    for row, (left, middle, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising, falling = (bins >= left) & (bins < middle), (bins >= middle) & (bins < right)
        triangles[row, rising] = (bins[rising] - left) / (middle - left)
        triangles[row, falling] = (right - bins[falling]) / (right - middle)
    return triangles


def windows(rows: NDArray[np.float64], frames: int) -> Tensor:
    """Cepstra (N, 1, 13, 20) for the 5 frames from each of the first N."""
    count = min(frames - FRAMES, (len(rows) - ROWS) // ROWS_A_FRAME + 1)
    picked = np.stack([rows[ROWS_A_FRAME * at : ROWS_A_FRAME * at + ROWS].T for at in range(count)])
    return torch.from_numpy(picked[:, None]).float()
