"""Decoded pictures as R'G'B' for ordinary screens (BT.709), as players show them.

Untagged video of high definition is BT.709, other untagged video BT.601. Video with a high dynamic range, as phones
record it, is brought to the range of ordinary screens: its reference white of 203 cd/m² becomes white (ITU-R BT.2408),
what is brighter is clipped, and colours are converted from BT.2020 to BT.709.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

# SWS_BILINEAR, SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT: without the last two, pictures darken by 1.2 of 255 on average
# each time they are written and read.
EXACT_COLOUR = 0x2 | 0x40000 | 0x2000

HD_ROWS, HD_COLUMNS = 720, 1280
"""Rows or columns from which untagged video is BT.709, as in players."""

_UNTAGGED = 2
_PQ, _HLG = 16, 18
"""Transfer characteristics of ITU-T H.273: SMPTE ST 2084, and ARIB STD-B67."""
_BT2020 = 9
"""Colour primaries of ITU-T H.273."""

_WHITE_16 = 255 * 256
"""What FFmpeg makes of white in 16 bits."""

WHITE, PEAK, SYSTEM_GAMMA = 203.0, 1000.0, 1.2
"""cd/m² of reference white (BT.2408) and of the screen for which HLG is defined, and its gamma there (BT.2100)."""

_FROM_2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Linear light of BT.2020 to that of BT.709 (BT.2407)."""


def rgb(frame: Any, rows: int, columns: int) -> NDArray[np.uint8]:
    """A decoded frame as R'G'B' (Y, X, 3) of this size."""
    matrix = None if frame.colorspace != _UNTAGGED else _usual_matrix(frame)
    size = {"width": columns, "height": rows, "interpolation": EXACT_COLOUR, "src_colorspace": matrix}
    if frame.color_trc not in (_PQ, _HLG):
        shown: NDArray[np.uint8] = frame.to_ndarray(format="rgb24", **size)
        return shown
    return _standard_range(frame.to_ndarray(format="gbrp16le", **size), frame.color_trc, frame.color_primaries)


def _usual_matrix(frame: Any) -> Colorspace:
    if frame.color_trc in (_PQ, _HLG):
        return Colorspace.BT2020
    return Colorspace.ITU709 if frame.height >= HD_ROWS or frame.width >= HD_COLUMNS else Colorspace.ITU601


def _standard_range(signal: NDArray[np.uint16], curve: int, primaries: int) -> NDArray[np.uint8]:
    """R'G'B' in 8 bits of R'G'B' in 16 bits with a high dynamic range."""
    light = np.take(_light_of(curve), signal)
    if curve == _HLG:
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (PEAK / WHITE * np.power(luminance, SYSTEM_GAMMA - 1))[..., None]
    if primaries in (_BT2020, _UNTAGGED):
        light = light @ _FROM_2020.T
    return np.take(_screen(), np.rint(np.clip(light, 0, 1) * 65535).astype(np.uint16))


@cache
def _light_of(curve: int) -> NDArray[np.float32]:
    """Light (65536,) of a 16 bit signal: of PQ relative to reference white, of HLG in the scene, from 0 to 1."""
    signal = np.arange(65536) / _WHITE_16
    if curve == _HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return (10_000 / WHITE * light).astype(np.float32)


@cache
def _screen() -> NDArray[np.uint8]:
    """Signal (65536,), in 8 bits, of light on a screen from 0 to 1 (BT.1886)."""
    return np.rint(255 * (np.arange(65536) / 65535) ** (1 / 2.4)).astype(np.uint8)
