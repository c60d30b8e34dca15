"""Text to sound, offline."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from vast_core.errors import InputError

from .limits import TEXT

__all__ = ["say"]

_lock = threading.Lock()


@cache
def _voice() -> Any:
    import hibari

    return hibari.Hibari(threads=1)


def say(text: str) -> Iterator[NDArray[np.float32]]:
    """The sound of English ``text``, (S,) at 16 kHz, sentence by sentence.

    Raises :class:`InputError` if the text is empty or too long.
    """
    if not text.strip():
        raise InputError("the text is empty; write something to say")
    if len(text) > TEXT:
        raise InputError(f"the text has {len(text)} characters; at most {TEXT} are spoken at once")
    with _lock:  # the voice is loaded once, and shared
        sentences = _voice().split_sentences(text)
    for sentence in sentences:
        with _lock:
            wave = _voice()(sentence)
        yield np.clip(resample_poly(wave, 2, 3), -1, 1).astype(np.float32)
