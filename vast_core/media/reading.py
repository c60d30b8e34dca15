"""Pictures and sound out of video files (PyAV)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import attrs
import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from ..errors import MediaError
from ..interfaces import SAMPLE_RATE
from .colour import rgb
from .decoding import decoded
from .hearing import SoundReader
from .limits import MOST_PIXELS, check_pause, check_picture, check_time
from .opening import opened

SPOKEN = "An avatar of vast speaks."
"""Comment in the metadata of a video in which an avatar speaks."""


def is_spoken(path: Path) -> bool:
    """Whether a video says that an avatar of vast speaks in it. Raises :class:`MediaError` if it cannot be opened."""
    with opened(path) as container:
        return container.metadata.get("comment") == SPOKEN


def _upright(image: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Turn and mirror an image (Y, X, 3) as the display matrix (a, b; c, d), to the nearest quarter turn, says."""
    a, b, c, d = matrix
    if abs(b) > abs(a):
        image, across, down = image.swapaxes(0, 1), c, b
    else:
        across, down = a, d
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


@attrs.frozen(kw_only=True)
class _Geometry:
    """Facts of the first frame that hold for all frames."""

    start: float
    """Presentation time of the first frame, in seconds."""
    period: float
    """Seconds between two frames, on average."""
    seconds: float
    coded: tuple[int, int]
    """(Y, X) in square pixels, before turning."""
    matrix: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        y, x = self.coded
        return (x, y) if abs(self.matrix[1]) > abs(self.matrix[0]) else (y, x)


@attrs.frozen
class VideoFile:
    """A video file as :class:`vast_core.interfaces.Footage`: upright, at ``fps``, with time 0 at its first frame.

    The file is read only on request. A file that is cut short gives its frames up to there, then raises
    :class:`MediaError` with the frame and the second. Pixels that are not square are resampled to square ones.
    """

    path: Path
    fps: float = attrs.field(validator=attrs.validators.gt(0))

    @cached_property
    def _geometry(self) -> _Geometry:
        with opened(self.path) as container:
            stream = self._stream(container)
            first = next(decoded(self.path, container, stream), None)
            if first is None:
                raise MediaError(f"{self.path}: holds no frame; copy or convert it again")
            matrix = (1, 0, 0, 1)
            if (side_data := first.side_data.get("DISPLAYMATRIX")) is not None:
                entries = np.frombuffer(bytes(side_data), dtype=np.int32)
                matrix = (int(entries[0]), int(entries[1]), int(entries[3]), int(entries[4]))
            rate = stream.average_rate or stream.guessed_rate
            period = float(1 / rate) if rate else 1 / self.fps
            if stream.duration is not None:
                seconds = float(stream.duration * stream.time_base)
            else:
                seconds = (container.duration or 0) / av.time_base
            ratio = float(stream.sample_aspect_ratio or 1)
            check_picture(self.path, first.height, round(min(first.width * ratio, 2 * MOST_PIXELS)))
            return _Geometry(
                start=first.time or 0.0,
                period=period,
                seconds=max(seconds, period),
                coded=(first.height, round(first.width * ratio)),
                matrix=matrix,
            )

    @property
    def size(self) -> tuple[int, int]:
        """Size (Y, X) of an upright frame."""
        return self._geometry.size

    @property
    def native_fps(self) -> float:
        """Average frames a second of the file itself."""
        return 1 / self._geometry.period

    @property
    def seconds(self) -> float:
        """Length of the pictures according to the file's header, in seconds."""
        return self._geometry.seconds

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (Y, X, 3), RGB; frame n is the nearest in time to n / fps seconds after the first.

        If the file itself pauses, the last frame is repeated until the next one is due.
        """
        geometry = self._geometry
        emitted, shown, before, gap = 0, None, 0.0, geometry.period
        with opened(self.path) as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            for frame in decoded(self.path, container, stream):
                time = before + geometry.period if frame.time is None else frame.time - geometry.start
                if shown is not None:
                    early = max(gap, 1 / self.fps) / 2
                    handover = max((before + time) / 2, time - early) * self.fps - 1e-6
                    self._check(before, handover / self.fps, emitted)
                    yield from self._repeat(shown, emitted, handover)
                    emitted = max(emitted, math.ceil(handover))
                    gap = min(time - before, geometry.period)
                shown, before = frame, time
            end = max((before + gap) * self.fps - 0.5 + 1e-6, emitted + (emitted == 0))
            self._check(before, end / self.fps, emitted)
            yield from self._repeat(shown, emitted, end)

    def _check(self, begin: float, end: float, emitted: int) -> None:
        check_time(self.path, end)
        check_pause(self.path, begin, end - emitted / self.fps)

    def wave(self) -> NDArray[np.float32] | None:
        """The sound (S,), mono, 16 kHz, padded or cut to start with the first frame; None if there is no sound."""
        sound = self.sound(SAMPLE_RATE, 1)
        return None if sound is None else sound[0]

    def sound(self, rate: int, channels: Literal[1, 2]) -> NDArray[np.float32] | None:
        """The sound (C, S) at another rate, in one or two channels, like :meth:`wave` for the rest."""
        sound = SoundReader(path=self.path, rate=rate, channels=channels, start=self._geometry.start).read()
        return sound if sound is not None and sound.size else None

    def _stream(self, container: InputContainer) -> Any:
        for stream in container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:
                return stream
        raise MediaError(f"{self.path}: has no video stream; name a video file")

    def _repeat(self, frame: Any, first: int, end: float) -> Iterator[NDArray[np.uint8]]:
        if first >= end:
            return
        y, x = self._geometry.coded
        image = _upright(rgb(frame, y, x), self._geometry.matrix)
        for number in range(first, math.ceil(end)):
            yield image if number == first else image.copy()
