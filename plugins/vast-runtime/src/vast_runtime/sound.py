"""Sound to speak: a file, a wave, or chunks of one that are still coming."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from .errors import AvatarError

RATE = 16_000

Floats = NDArray[np.float32]

Speech = str | Path | io.IOBase | Floats | Iterable[Floats]
"""A sound or video file, by its path or open; a wave (S,) at 16 kHz; or an iterable of chunks of one."""

_GAP = 0.02
"""Seconds by which decoded sound may drift from its time stamps before silence is put in between."""


class Sound:
    """A wave of which only as much is read as is needed, and only as much is kept."""

    def __init__(self, speech: Speech) -> None:
        """Raises :class:`AvatarError` if a file has no sound."""
        if isinstance(speech, (str, Path, io.IOBase)):
            speech = read_wave(speech)
        chunks: Iterable[Any] = [speech] if isinstance(speech, np.ndarray) else speech
        self._chunks: Iterator[Any] = iter(chunks)
        self._kept, self._first = np.zeros(0, np.float32), 0
        self.samples = 0
        """Number of samples so far; of all, once the sound has :attr:`ended`."""
        self.ended = False

    def wait_for(self, samples: int) -> None:
        """Read until so many samples have come, or the sound ends. Raises :class:`AvatarError` if it is no sound."""
        arrived = []
        while self.samples < samples and not self.ended:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.ended = True
                if not self.samples:
                    raise AvatarError("the sound is empty; give at least one sample")
                break
            arrived.append(_checked(chunk))
            self.samples += len(chunk)
        if arrived:
            self._kept = np.concatenate([self._kept, *arrived])

    def window(self, low: int, count: int) -> Floats:
        """``count`` samples from ``low``, with silence before the start and after the end; those before are dropped."""
        if low > self._first:
            self._kept, self._first = self._kept[low - self._first :], low
        window = np.zeros(count, np.float32)
        at = self._first - low
        own = self._kept[: max(count - at, 0)]
        window[at : at + len(own)] = own
        return window

    def frames(self, fps: float) -> int:
        """Number of video frames for the sound so far, rounded up."""
        return max(1, math.ceil(self.samples / RATE * fps - 1e-6))


def read_wave(source: str | Path | io.IOBase, seconds: float = math.inf) -> Floats:
    """The first ``seconds`` of sound (S,), mono, 16 kHz, of a sound or video file, from its own first sample.

    An open file is read alone: a playlist in it opens no other file. Raises :class:`AvatarError` if the file cannot be
    read, or has no sound.
    """
    if isinstance(source, (str, Path)):
        name, source, protocols = str(source), f"file:{source}", "file"
    else:
        name, protocols = "the sound", "none"
    try:
        with av.open(source, "r", options={"protocol_whitelist": protocols}, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AvatarError(f"{name}: has no sound; name a sound file, or a video with sound")
            pieces = list(_resampled(container, seconds))
    except (OSError, av.FFmpegError) as error:
        raise AvatarError(f"{name}: cannot be read as sound ({error.strerror}); copy or convert it again") from error
    if not pieces:
        raise AvatarError(f"{name}: has no sound; name a sound file, or a video with sound")
    length = max(first + len(own) for first, own in pieces)
    wave = np.zeros(length, np.float32)
    for first, own in pieces:
        wave[first : first + len(own)] = own
    return wave if seconds == math.inf else wave[: round(seconds * RATE)]


def _resampled(container: Any, seconds: float) -> Iterator[tuple[int, Floats]]:
    """Pieces without gaps, each with the number of its first sample, of the first ``seconds``."""
    resampler, due, origin, at, pieces, heard = None, 0.0, None, 0, list[Any](), 0.0

    def piece() -> Iterator[tuple[int, Floats]]:
        if resampler is not None:
            pieces.extend(part.to_ndarray()[0] for part in resampler.resample(None))
        if pieces:
            yield at, np.concatenate(pieces).astype(np.float32) / np.float32(2**31)
        pieces.clear()

    for frame in container.decode(audio=0):
        time = due if frame.time is None else frame.time
        origin = time if origin is None else origin
        if max(heard, time - origin) > seconds:
            yield from piece()
            yield round(seconds * RATE), np.zeros(0, np.float32)  # also if a gap ends later
            return
        if resampler is None or abs(time - due) > _GAP:
            yield from piece()
            # integers make the resampler scale its down-mix so that it cannot clip; to floats it does not
            resampler, due, at = av.AudioResampler("s32", "mono", RATE), time, max(0, round((time - origin) * RATE))
        pieces.extend(part.to_ndarray()[0] for part in resampler.resample(frame))
        due += frame.samples / frame.sample_rate
        heard += frame.samples / frame.sample_rate
    yield from piece()


def _checked(chunk: object) -> Floats:
    if not isinstance(chunk, np.ndarray) or chunk.ndim != 1 or chunk.dtype.kind != "f":
        shown = f"{chunk.dtype} {chunk.shape}" if isinstance(chunk, np.ndarray) else type(chunk).__name__
        raise AvatarError(f"the sound is {shown}; give floats in [-1, 1] of one channel, (S,), at {RATE} Hz")
    if not np.abs(chunk).max(initial=0.0) <= 1e6:  # NaN too
        raise AvatarError("the sound has samples that are not finite, or far over full scale")
    return chunk.astype(np.float32, copy=False)
