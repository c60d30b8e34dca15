"""A take into a file, and its sound beside it."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vast_core.files import replacing
from vast_core.interfaces import SAMPLE_RATE

from . import arrays, bvh, gltf, live_link, usda
from .take import Take

WRITERS: dict[str, Callable[[Take, Path, str | None], None]] = {
    "arkit-csv": lambda take, path, _: live_link.write(take, path),
    "bvh": lambda take, path, _: bvh.write(take, path),
    "gltf": gltf.write,
    "usda": usda.write,
    "npz": lambda take, path, _: arrays.write(take, path),
}
"""By format; each is told the name of the sound's file beside it, if there is one, and notes it where it can."""


def write_take(take: Take, out: Path, form: str, sound: Path | None = None) -> None:
    """Write ``take`` to ``out`` in the format ``form``, and its sound to ``sound``, each whole or not at all.

    Raises :class:`vast_core.errors.StorageError` if a file cannot be written.
    """
    if sound is not None:
        with replacing(sound) as temporary:
            temporary.write_bytes(as_wav(take.wave))
    with replacing(out) as temporary:
        WRITERS[form](take, temporary, None if sound is None else sound.name)


def as_wav(samples: NDArray[np.float32]) -> bytes:
    """A wave (S,) at 16 kHz as the bytes of a WAV file, 16 bits a sample."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return held.getvalue()
