"""Sound for the avatar to speak, complete or in chunks that are still arriving."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..interfaces import SAMPLE_RATE
from ..media.hearing import read_wave

__all__ = ["AsyncSpeech", "Sound", "Speech", "frames_of"]

Speech = str | Path | NDArray[np.float32] | Iterable[NDArray[np.float32]]
"""A sound or video file, a wave (S,) at 16 kHz, or an iterable of chunks of one."""

AsyncSpeech = AsyncIterable[NDArray[np.float32]]
"""Chunks of a wave that are awaited."""

FADE = 80
"""Samples (5 ms) over which sound that is cut off becomes silent, so that it does not click."""


def is_whole(speech: Speech | AsyncSpeech) -> bool:
    """Whether all of the sound is there, as a file or a wave."""
    return isinstance(speech, (str, Path, np.ndarray))


def frames_of(samples: int, fps: float) -> int:
    """Number of video frames for ``samples`` samples, rounded up."""
    return max(1, math.ceil(samples / SAMPLE_RATE * fps - 1e-6))


class Sound:
    """A wave at 16 kHz that is read only as far as needed; samples that are no longer needed are dropped."""

    def __init__(self, chunks: Iterable[NDArray[np.float32]] | AsyncSpeech) -> None:
        """``chunks`` (S,) are floats in [-1, 1]; their lengths may differ."""
        self._later = aiter(chunks) if isinstance(chunks, AsyncIterable) else None
        self._chunks: Iterator[NDArray[np.float32]] = iter(()) if isinstance(chunks, AsyncIterable) else iter(chunks)
        self._kept = np.zeros(0, np.float32)
        self._arrived: list[NDArray[np.float32]] = []
        """Chunks that are not yet joined to those that are kept."""
        self._first = 0
        """Index of the first sample that is kept."""
        self._count = 0
        """Number of chunks read so far."""
        self.samples = 0
        """Number of samples so far; the total once the sound has :attr:`ended`."""
        self.ended = False
        """Whether the last chunk has been read."""

    @classmethod
    def of(cls, speech: Speech | AsyncSpeech) -> Sound:
        """Sound in any of its forms. Raises :class:`InputError` if a file or an array is not sound."""
        if isinstance(speech, (str, Path)):
            return cls([read_wave(Path(speech))])
        if isinstance(speech, np.ndarray):
            return cls([checked(speech, "the sound")])
        return cls(speech)

    @property
    def awaited(self) -> AsyncIterator[NDArray[np.float32]] | None:
        """The chunks, if they must be awaited."""
        return self._later

    def wait_for(self, samples: int) -> None:
        """Read until ``samples`` samples have arrived, or the sound ends.

        Raises :class:`InputError` if a chunk is not sound, or the sound is empty.
        """
        while self.samples < samples and not self.ended:
            self._take(next(self._chunks, None))

    async def arrive(self, samples: int) -> None:
        """As :meth:`wait_for`, for chunks that are awaited."""
        while self._later is not None and self.samples < samples and not self.ended:
            self._take(await anext(self._later, None))

    def between(self, low: int, high: int) -> NDArray[np.float32]:
        """Samples from ``low`` up to ``high`` or the end; samples before ``low`` are dropped."""
        self._join()
        self._kept, self._first = self._kept[low - self._first :], low
        return self._kept[: high - low]

    def at(self, low: int, high: int) -> NDArray[np.float32]:
        """As :meth:`between`, but nothing is dropped."""
        self._join()
        return self._kept[low - self._first : high - self._first]

    def rest(self) -> NDArray[np.float32]:
        """All samples that are not dropped, up to the end."""
        self.wait_for(2**62)
        self._join()
        return self._kept

    def cut(self, at: int) -> None:
        """Forget the samples from the one with index ``at``; those that come later follow it."""
        self._join()
        kept = self._kept[: max(0, at - self._first)].copy()
        fade = min(FADE, len(kept))
        kept[len(kept) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        self._kept, self.samples = kept, self._first + len(kept)

    def end_with(self, wave: NDArray[np.float32]) -> None:
        """Let the sound end with ``wave`` (S,), whatever chunks are still to come."""
        self._chunks = iter([wave])
        self._later = None
        self.ended = False

    def _take(self, chunk: NDArray[np.float32] | None) -> None:
        if chunk is None:
            self.ended = True
            if not self.samples:
                raise InputError("the sound is empty; give at least one sample")
            return
        wave = checked(chunk, f"chunk {self._count} of the sound")
        self._count += 1
        self.samples += len(wave)
        self._arrived.append(wave)

    def _join(self) -> None:
        if self._arrived:
            self._kept, self._arrived = np.concatenate([self._kept, *self._arrived]), []


def checked(wave: object, what: str) -> NDArray[np.float32]:
    """A wave (S,) as float32. Raises :class:`InputError`, which begins with ``what``, if it is no sound."""
    if not isinstance(wave, np.ndarray) or wave.ndim != 1 or wave.dtype.kind != "f":
        shown = f"{wave.dtype} {wave.shape}" if isinstance(wave, np.ndarray) else type(wave).__name__
        raise InputError(f"{what} is {shown}; give floats in [-1, 1] of one channel, (S,), at {SAMPLE_RATE} Hz")
    if not np.isfinite(wave).all():
        raise InputError(f"{what} has values that are not finite")
    return wave.astype(np.float32, copy=False)
