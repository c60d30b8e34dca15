"""The sound with which an exported avatar is checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE
from vast_core.media import is_silent, read_wave

SECONDS = 4.0
"""Length of sound that is used."""

SENTENCE = "She had your dark suit in greasy wash water all year."


def check_sound(path: Path | None) -> NDArray[np.float32]:
    """Sound (S,) of a file, or a spoken sentence. Raises :class:`InputError` if the file is silent or has no sound."""
    if path is None:
        return spoken(SENTENCE)[: round(SECONDS * SAMPLE_RATE)]
    wave = read_wave(path, seconds=SECONDS)
    if is_silent(wave):
        raise InputError(f"{path}: its first {SECONDS:g} s are silent, which checks nothing; give speech")
    return wave


def spoken(text: str) -> NDArray[np.float32]:
    """The sound (S,) of English ``text``, made on this machine."""
    import hibari
    from scipy.signal import resample_poly

    wave = hibari.Hibari(threads=1)(text)
    return np.asarray(np.clip(resample_poly(wave, 2, 3), -1, 1), np.float32)
