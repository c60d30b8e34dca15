"""A zero-phase low-pass filter that preserves slow motion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = 0.985
"""Share of its amplitude that motion at the upper end of the band keeps."""
SHARPENINGS = 4
"""n below; the larger, the flatter the band and the longer the filter."""


def kernel(fps: float, band: float) -> NDArray[np.float64]:
    """Odd, symmetric taps with the frequency response 1 - (1 - G)^n of a Gaussian G, which is ``KEPT`` at ``band`` Hz.

    Repeated sharpening of a Gaussian (Kaiser and Hamming 1977): flat where G is near 1, with little ringing.
    """
    gain = 1 - (1 - KEPT) ** (1 / SHARPENINGS)  # G at the band's end
    deviation = math.sqrt(-2 * math.log(gain)) * fps / (2 * math.pi * band)  # in frames
    reach = max(1, math.ceil(4 * deviation))
    gaussian = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    missing = -gaussian / gaussian.sum()
    missing[reach] += 1
    left_out = np.ones(1)
    for _ in range(SHARPENINGS):
        left_out = np.convolve(left_out, missing)
    taps = -left_out
    taps[len(taps) // 2] += 1
    return taps


def smooth(values: NDArray[np.floating[Any]], fps: float, band: float) -> NDArray[np.float64]:
    """``values`` (T, ...) smoothed along T with zero phase; motion slower than ``band`` Hz keeps at least 98.5 %.

    Ends are extended by point reflection. ``band`` 0 and a single frame change nothing.
    """
    series = np.asarray(values, np.float64)
    if band <= 0 or len(series) < 2:
        return series.copy()
    taps = kernel(fps, band)
    reach = len(taps) // 2
    flat = series.reshape(len(series), -1)
    longer = np.pad(flat, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    result = np.zeros_like(flat)
    for offset, tap in enumerate(taps):
        result += tap * longer[offset : offset + len(flat)]
    return result.reshape(series.shape)
