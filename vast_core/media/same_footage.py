"""Whether two clips show the same pictures, though they differ in name, container, codec, size or where they are cut.

A glimpse of a frame is a few grey levels. Glimpses of a still background agree between all clips of one session, and
many clips become slowly lighter, so what is compared is how glimpses change within a second.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SIDE, SAMPLES = 8, 16
"""Cells of a glimpse along each side, and samples along each side of a cell."""

LIKE = 0.6
"""Least correlation over time of clips that show the same (our choice). Other clips of a person in a place reach 0.4.
A copy of half the size and poor quality has 0.85 and more, but 0.3 to 0.75 where only the lips of a small face move."""

SLOW = 25
"""Frames over whose mean a change is slow."""

NEAR = 10.0
"""Greatest difference of their mean grey levels, of 255."""

SHARED = 0.5
"""Least share of the shorter clip that the other one shows, too."""

Levels = NDArray[np.float32]


def glimpse(frame: NDArray[np.uint8]) -> Levels:
    """Grey levels (64,) of a frame (Y, X, 3)."""
    rows, columns = (
        ((np.arange(SIDE * SAMPLES) + 0.5) * size / (SIDE * SAMPLES)).astype(int) for size in frame.shape[:2]
    )
    cells = frame[rows[:, None], columns, 1].reshape(SIDE, SAMPLES, SIDE, SAMPLES)
    levels: Levels = cells.mean((1, 3), dtype=np.float32).ravel()
    return levels


def same_footage(a: Levels, b: Levels) -> bool:
    """Whether clips with these glimpses (T, 64) show the same for at least half of the shorter one.

    That is, whether their changes correlate at some lag. Clips in which nothing moves never do.
    """
    if min(len(a), len(b)) < 2 or np.abs(a.mean(0) - b.mean(0)).mean() > NEAR:
        return False
    size = 1 << (len(a) + len(b) - 1).bit_length()
    spectra = [np.fft.rfft(_changes(clip), size, axis=0) for clip in (a, b)]
    lags = np.fft.irfft((spectra[0] * spectra[1].conj()).sum(1), size)
    lag = int(lags.argmax())
    lag = lag if lag < len(a) else lag - size
    first, last = max(0, lag), min(len(a), len(b) + lag)
    if last - first < SHARED * min(len(a), len(b)):
        return False
    parts = [_changes(clip) for clip in (a[first:last], b[first - lag : last - lag])]
    power = float(np.square(parts[0]).sum() * np.square(parts[1]).sum())
    return power > 0 and float((parts[0] * parts[1]).sum()) >= LIKE * power**0.5


def doubles(clips: Mapping[str, Levels]) -> dict[str, str]:
    """Clips, given with their glimpses, that show the same as one before them, and its name."""
    found: dict[str, str] = {}
    for name, levels in clips.items():
        others = (other for other in clips if other not in found)
        same = next((other for other in others if other == name or same_footage(clips[other], levels)), name)
        if same != name:
            found[name] = same
    return found


def _changes(levels: Levels) -> Levels:
    """Levels less their mean over the frames around each."""
    width = min(SLOW, len(levels) - 1 + len(levels) % 2)  # odd
    padded = np.pad(levels, ((width // 2, width // 2), (0, 0)), mode="edge").astype(np.float64)
    sums = np.concatenate([np.zeros((1, levels.shape[1])), padded.cumsum(0)])
    changes: Levels = (levels - (sums[width:] - sums[:-width]) / width).astype(np.float32)
    return changes
