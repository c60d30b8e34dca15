"""Sound for the avatar to speak, complete or in chunks that are still arriving."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..interfaces import SAMPLE_RATE
from ..media.hearing import read_wave

__all__ = ["Sound", "Speech", "frames_of"]

Speech = str | Path | NDArray[np.float32] | Iterable[NDArray[np.float32]]
"""A sound or video file, a wave (S,) at 16 kHz, or an iterable of chunks of one."""


def frames_of(samples: int, fps: float) -> int:
    """Number of video frames for ``samples`` samples, rounded up."""
    return max(1, math.ceil(samples / SAMPLE_RATE * fps - 1e-6))


class Sound:
    """A wave at 16 kHz that is read only as far as needed; samples that are no longer needed are dropped."""

    def __init__(self, chunks: Iterable[NDArray[np.float32]]) -> None:
        """``chunks`` (S,) are floats in [-1, 1]; their lengths may differ."""
        self._chunks = iter(chunks)
        self._kept = np.zeros(0, np.float32)
        self._first = 0
        """Index of the first sample that is kept."""
        self._count = 0
        """Number of chunks read so far."""
        self.ended = False
        """Whether the last chunk has been read."""

    @classmethod
    def of(cls, speech: Speech) -> Sound:
        """Sound in any of its forms. Raises :class:`InputError` if a file or an array is not sound."""
        if isinstance(speech, (str, Path)):
            return cls([read_wave(Path(speech))])
        if isinstance(speech, np.ndarray):
            return cls([_checked(speech, "the sound")])
        return cls(speech)

    @property
    def samples(self) -> int:
        """Number of samples so far; the total once the sound has :attr:`ended`."""
        return self._first + len(self._kept)

    def wait_for(self, samples: int) -> None:
        """Read until ``samples`` samples have arrived, or the sound ends.

        Raises :class:`InputError` if a chunk is not sound, or the sound is empty.
        """
        parts, have = [self._kept], self.samples
        while have < samples and not self.ended:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.ended = True
            else:
                parts.append(_checked(chunk, f"chunk {self._count} of the sound"))
                self._count += 1
                have += len(chunk)
        if len(parts) > 1:
            self._kept = np.concatenate(parts)
        if self.ended and not self.samples:
            raise InputError("the sound is empty; give at least one sample")

    def between(self, low: int, high: int) -> NDArray[np.float32]:
        """Samples from ``low`` up to ``high`` or the end; samples before ``low`` are dropped."""
        self._kept, self._first = self._kept[low - self._first :], low
        return self._kept[: high - low]

    def rest(self) -> NDArray[np.float32]:
        """All samples that are not dropped, up to the end."""
        self.wait_for(2**62)
        return self._kept


def _checked(wave: object, what: str) -> NDArray[np.float32]:
    if not isinstance(wave, np.ndarray) or wave.ndim != 1 or wave.dtype.kind != "f":
        shown = f"{wave.dtype} {wave.shape}" if isinstance(wave, np.ndarray) else type(wave).__name__
        raise InputError(f"{what} is {shown}; give floats in [-1, 1] of one channel, (S,), at {SAMPLE_RATE} Hz")
    if not np.isfinite(wave).all():
        raise InputError(f"{what} has values that are not finite")
    return wave.astype(np.float32, copy=False)
