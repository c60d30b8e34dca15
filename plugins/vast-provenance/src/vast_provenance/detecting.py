"""Find the pattern in pictures that were compressed, scaled or cropped, with a bound on false alarms.

The pictures are brought to the scale that a crop and a number of tiles would give, folded to one tile, and compared
with the pattern at every shift: with phi_k the phase of the folded tile at frequency k, psi_k that of the pattern,

    S = sum_k cos(phi_k - psi_k - 2 pi k.shift / SIDE),   z = S / sqrt(M / 2).

The phases psi_k are independent and uniform, and no picture that was made without them depends on them. So for each
shift and scale P(z >= t) <= exp(-t^2 / 2), because E exp(a cos) = I_0(a) <= exp(a^2 / 4); N shifts and scales together
have at most N times that.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from .pattern import HIGHEST, SIDE, frequencies, phases, tiles

__all__ = ["Detector", "Found", "best", "threshold"]

CROP = (0.74, 1.02)
"""Shares of the short side that may be left after a crop."""
NOISE = 9.0
"""Variance, in squared grey levels, below which a place counts fully (our choice)."""
BANDS = (10, HIGHEST)
"""Fastest waves that are compared: strong compression leaves the slow ones only."""
LONGEST = 4
"""Most of a picture that is searched along its longer side, in lengths of the shorter one."""
FALSE_ALARMS = 1e-5
"""Most false alarms per video."""


@attrs.frozen(kw_only=True)
class Found:
    """How much the pattern stands out."""

    z: float
    """At the best shift and scale, in standard deviations of what chance gives for one."""
    chance: float
    """Bound on the probability that pictures without the pattern reach ``z``."""

    @property
    def marked(self) -> bool:
        """Whether the pattern is there."""
        return self.chance <= FALSE_ALARMS


class Detector:
    """Collects pictures of one video, all of one size, then looks for the pattern."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float32] | None = None

    def add(self, grey: NDArray[np.uint8]) -> None:
        """Add a picture (Y, X)."""
        most = LONGEST * min(grey.shape)  # the pattern repeats, so a part of a ribbon is enough
        part = _detail(grey[:most, :most])
        self._sum = part if self._sum is None else self._sum + part

    def spectra(self) -> NDArray[np.complex64]:
        """What :func:`best` needs. Raises ValueError without pictures."""
        if self._sum is None:
            raise ValueError("no picture was added")
        return spectra(self._sum)

    def found(self) -> Found:
        """The pattern, as far as it is there. Raises ValueError without pictures."""
        return best(self.spectra(), phases())


def _detail(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture without its coarse content; what is busy counts less, in inverse proportion to its local variance."""
    picture = grey.astype(np.float32)
    width = 2 * round(min(grey.shape) / 32) + 3
    fine = picture - cv2.blur(picture, (width, width))
    return np.asarray(fine / (cv2.blur(fine * fine, (width, width)) + NOISE))


def scales(size: tuple[int, int]) -> Iterator[float]:
    """Sides of a tile, in pixels, that are tried on pictures of a size: as fine as the pattern needs."""
    short, longer = min(size), max(size)
    counts = {tiles((round(short * change), 1 << 20)) for change in (1.0, 2.0, 0.5)}
    for count in sorted(counts):
        step = 1 + 0.05 / (count * longer / short)
        share = CROP[0]
        while share <= CROP[1]:
            yield short / (share * count)
            share *= step


def spectra(detail: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Phases (N, M), as numbers of modulus 1, of what is folded to one tile, for each of N scales."""
    v, u = frequencies()
    y, x = detail.shape
    rows = []
    for side in scales(detail.shape):
        width, height = round(x * SIDE / side), round(y * SIDE / side)
        scaled = cv2.resize(detail, (width, height), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR)
        padded = np.zeros((-(-height // SIDE) * SIDE, -(-width // SIDE) * SIDE), np.float32)
        padded[:height, :width] = scaled
        folded = padded.reshape(len(padded) // SIDE, SIDE, -1, SIDE).sum((0, 2))
        waves = np.fft.fft2(folded)[v, u]
        rows.append(waves / np.maximum(np.abs(waves), 1e-12))
    return np.asarray(rows, np.complex64)


def best(waves: NDArray[np.complex64], own: NDArray[np.float64]) -> Found:
    """The best agreement of :func:`spectra` with a pattern's phases (M,), over all shifts, scales and bands."""
    v, u = frequencies()
    radius = np.hypot(u, v)
    z = -np.inf
    for row in waves * np.exp(-1j * own).astype(np.complex64):
        for top in BANDS:
            kept = radius <= top
            surface = np.zeros((SIDE, SIDE), np.complex64)
            surface[v[kept], u[kept]] = row[kept]
            z = max(z, float(np.fft.ifft2(surface).real.max()) * SIDE**2 / np.sqrt(kept.sum() / 2))
    return Found(z=z, chance=float(min(1.0, _tried(len(waves)) * np.exp(-(max(z, 0.0) ** 2) / 2))))


def threshold(count: int) -> float:
    """z from which on the pattern counts as found, with ``count`` scales."""
    return float(np.sqrt(2 * np.log(_tried(count) / FALSE_ALARMS)))


def _tried(count: int) -> int:
    """Shifts, bands and scales that are compared."""
    return count * SIDE**2 * len(BANDS)
