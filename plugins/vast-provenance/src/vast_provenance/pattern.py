"""The invisible pattern that is added to every frame: a tile of random phases, repeated over the picture."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["HIGHEST", "SIDE", "frequencies", "parts", "phases", "tiles"]

SIDE = 128
"""Samples along a side of the tile."""
LOWEST, HIGHEST = 4, 20
"""Periods along a tile of the slowest and the fastest wave in it (our choice: what survives compression)."""
SLOPE = 1.0
"""How the waves get weaker with their frequency (our choice)."""
NAME = "vast: an avatar speaks, 1"
"""Whatever has another name has other phases."""
STRENGTH = 1.9
"""Root mean square of the pattern in grey levels of 255 (our choice: 42.5 dB)."""
LEAST = 192
"""Pixels along the smallest tile of a picture that has several along its short side."""


@lru_cache(maxsize=1)
def frequencies() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertical and horizontal frequency (M,), in periods a tile, of the waves of the pattern: one of each pair ±k."""
    v, u = np.meshgrid(np.arange(-HIGHEST, HIGHEST + 1), np.arange(0, HIGHEST + 1), indexing="ij")
    radius = np.hypot(u, v)
    kept = (radius >= LOWEST) & (radius <= HIGHEST) & ((u > 0) | (v > 0))
    return v[kept], u[kept]


def phases(name: str = NAME) -> NDArray[np.float64]:
    """The phase (M,) of each wave, in [0, 2 pi), independent and uniform; SHA-256 of ``name`` draws them."""
    count = len(frequencies()[0])
    blocks = [hashlib.sha256(f"{name} {number}".encode()).digest() for number in range(-(-count // 8))]
    numbers = np.frombuffer(b"".join(blocks), ">u4")[:count]
    return 2 * np.pi * numbers / 2.0**32


def tiles(size: tuple[int, int]) -> int:
    """Tiles along the short side of a picture (Y, X)."""
    count = 2
    while min(size) >= 2 * LEAST * count:
        count *= 2
    return count


@lru_cache(maxsize=2)
def _tile() -> NDArray[np.float32]:
    """The tile (SIDE, SIDE), with mean 0 and mean square 1."""
    spectrum = np.zeros((SIDE, SIDE), np.complex128)
    v, u = frequencies()
    waves = np.exp(1j * phases()) / np.hypot(u, v) ** SLOPE
    spectrum[v, u] = waves
    spectrum[-v, -u] = waves.conj()
    tile = np.fft.ifft2(spectrum).real
    return np.asarray(tile / tile.std(), np.float32)


def picture(size: tuple[int, int]) -> NDArray[np.float32]:
    """The pattern (Y, X) of a picture of this size, with mean square 1."""
    y, x = size
    side = min(size) / tiles(size)
    rows = ((np.arange(y, dtype=np.float32) + 0.5) * (SIDE / side) - 0.5) % SIDE
    columns = ((np.arange(x, dtype=np.float32) + 0.5) * (SIDE / side) - 0.5) % SIDE
    tile = np.pad(_tile(), ((1, 1), (1, 1)), mode="wrap")
    grid = np.meshgrid(columns + 1, rows + 1)
    return np.asarray(cv2.remap(tile, grid[0], grid[1], cv2.INTER_LINEAR))


@lru_cache(maxsize=4)
def parts(size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What a picture of this size gets lighter and darker by, (Y, X, 3) each, in whole grey levels."""
    added = np.rint(STRENGTH * picture(size)).astype(np.int16)
    more, less = (np.repeat(part.clip(0).astype(np.uint8)[..., None], 3, -1) for part in (added, -added))
    return more, less
