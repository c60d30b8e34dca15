"""Pictures and sound out of files (PyAV)."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import attrs
import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from ..errors import MediaError, UnreachableError
from ..interfaces import SAMPLE_RATE

SOUND_GAP = 0.02
"""Seconds by which decoded sound may drift from its timestamps before it is realigned with them (our choice)."""

LOUDEST = 8.0
"""Largest allowed sample of a float stream: 18 dB over full scale (our choice). Lossy codecs stay far below."""

_SETTLING = 0.1
"""Seconds of extra sound for the resampler on each side of the sound that is kept."""

# SWS_BILINEAR, SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT: without the last two, pictures darken by 1.2 of 255 on average
# each time they are written and read.
EXACT_COLOUR = 0x2 | 0x40000 | 0x2000


def _reach(path: Path) -> int:
    """The size of a file that can be read. Raises :class:`UnreachableError` if it cannot be read at all."""
    try:
        with path.open("rb") as file:
            file.read(1)
            return os.fstat(file.fileno()).st_size
    except IsADirectoryError:
        raise MediaError(f"{path}: is a folder; name a file in it") from None
    except OSError as error:
        raise _unreachable(path, error) from error


def _unreachable(path: Path, error: OSError) -> UnreachableError:
    if isinstance(error, FileNotFoundError):
        return UnreachableError(f"{path}: there is no such file; check the path, and that its disk is there")
    if isinstance(error, PermissionError):
        return UnreachableError(f"{path}: may not be read; check its permissions")
    return UnreachableError(f"{path}: cannot be read ({error.strerror}); is its disk there?")


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """An open media file. Raises :class:`MediaError` if it cannot be read."""
    if _reach(path) == 0:
        raise MediaError(f"{path}: the file is empty; copy or download it again")
    try:
        # The prefix keeps a colon in a name from being read as a protocol, the list a playlist from the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (OSError, av.FFmpegError) as error:
        _reach(path)
        raise MediaError(
            f"{path}: is no video or sound file, or one whose end (and with it the index) is missing "
            f"({error.strerror}); copy or convert it again"
        ) from error
    with container:
        yield container


def _decode(path: Path, container: InputContainer, stream: Any) -> Iterator[Any]:
    """Decoded frames of ``stream``; raises MediaError if the file ends before the end that its header states."""
    packets, number, second, reached = 0, 0, 0.0, 0.0
    # Only the index of the mp4 family lists every packet; that of Matroska, for one, lists key frames alone.
    announced = len(stream.index_entries) if "mp4" in container.format.name else 0
    unit = "frame" if stream.type == "video" else "block of sound"

    def broken(why: str) -> MediaError:
        return MediaError(
            f"{path}: damaged or cut short at {unit} {number}, {second:.2f} s ({why}); copy or convert it again"
        )

    try:
        for packet in container.demux():
            if packet.pts is not None:
                reached = max(reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream.index != stream.index:  # not packet.stream_index: of the packets that flush it is 0
                continue
            if packet.is_corrupt:
                raise broken("the data end in the middle of a packet")
            packets += packet.size > 0
            decoded: list[Any] = packet.decode()
            for frame in decoded:
                if frame.time is not None:
                    second = frame.time
                yield frame
                number += 1
    except (OSError, av.FFmpegError) as error:
        _reach(path)
        raise broken(str(error.strerror)) from error
    if packets < announced:
        raise broken(f"{packets} of {announced} packets are there")
    # Streams of one file may end at different times, so the header's length is held against all of them.
    seconds = (container.duration or 0) / av.time_base
    if not announced and seconds - reached > max(1.0, 0.02 * seconds):
        raise broken(f"the last {seconds - reached:.1f} s that the header announces are missing")


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
            first = next(_decode(self.path, container, stream), None)
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
            return _Geometry(
                start=first.time or 0.0,
                period=period,
                seconds=max(seconds, period),
                coded=(first.height, round(first.width * float(stream.sample_aspect_ratio or 1))),
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
            for frame in _decode(self.path, container, stream):
                time = before + geometry.period if frame.time is None else frame.time - geometry.start
                if shown is not None:
                    early = max(gap, 1 / self.fps) / 2
                    handover = max((before + time) / 2, time - early) * self.fps - 1e-6
                    yield from self._repeat(shown, emitted, handover)
                    emitted = max(emitted, math.ceil(handover))
                    gap = min(time - before, geometry.period)
                shown, before = frame, time
            end = max((before + gap) * self.fps - 0.5 + 1e-6, emitted + (emitted == 0))
            yield from self._repeat(shown, emitted, end)

    def wave(self) -> NDArray[np.float32] | None:
        """The sound (S,), mono, 16 kHz, padded or cut to start with the first frame; None if there is no sound."""
        start = self._geometry.start
        with opened(self.path) as container:
            wave = _sound(self.path, container, start)
        return wave if wave is not None and len(wave) else None

    def _stream(self, container: InputContainer) -> Any:
        for stream in container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:
                return stream
        raise MediaError(f"{self.path}: has no video stream; name a video file")

    def _repeat(self, frame: Any, first: int, end: float) -> Iterator[NDArray[np.uint8]]:
        if first >= end:
            return
        y, x = self._geometry.coded
        image = _upright(
            frame.to_ndarray(format="rgb24", width=x, height=y, interpolation=EXACT_COLOUR), self._geometry.matrix
        )
        for number in range(first, math.ceil(end)):
            yield image if number == first else image.copy()


def _sound(
    path: Path, container: InputContainer, start: float | None, skip: float = 0.0, seconds: float = math.inf
) -> NDArray[np.float32] | None:
    """The first sound stream, mono at 16 kHz, from ``start`` seconds on (None: from its own first sample).

    Keeps ``seconds`` of it after skipping ``skip`` seconds; the rest is decoded and dropped.
    """
    if not container.streams.audio:
        return None
    pieces: list[tuple[float, list[NDArray[np.float32]]]] = []
    resampler: av.AudioResampler | None = None
    form, due, origin = None, 0.0, start

    def convert(frame: Any) -> None:
        # Integers make the resampler scale its down-mix so that it cannot clip; to floats it does not.
        for part in resampler.resample(frame) if resampler else ():
            pieces[-1][1].append(part.to_ndarray()[0].astype(np.float32) / 2**31)

    for frame in _decode(path, container, container.streams.audio[0]):
        time = due if frame.time is None else frame.time
        current = (frame.format.name, frame.layout.name, frame.sample_rate)
        if frame.format.name.startswith(("flt", "dbl")):
            _check_samples(path, frame.to_ndarray(), time)
        if current != form or abs(time - due) > SOUND_GAP:
            convert(None)
            resampler, form, due = None, current, time
        if origin is None:
            origin = time
        if due - origin > skip + seconds + _SETTLING:
            break
        end = due + frame.samples / frame.sample_rate
        if resampler is None and end - origin > skip - _SETTLING:
            resampler = av.AudioResampler("s32", "mono", SAMPLE_RATE)
            pieces.append((due, []))
        convert(frame)
        due = end
    convert(None)
    first = (origin or 0.0) + skip
    placed = [(round((time - first) * SAMPLE_RATE), np.concatenate(parts)) for time, parts in pieces if parts]
    samples = max((at + len(piece) for at, piece in placed), default=0)
    wave = np.zeros(max(samples if seconds == math.inf else min(samples, round(seconds * SAMPLE_RATE)), 0), np.float32)
    for at, piece in placed:
        if at + len(piece) > 0 and at < len(wave):
            wave[max(at, 0) : at + len(piece)] = piece[max(-at, 0) : len(wave) - at]
    return wave


def _check_samples(path: Path, samples: NDArray[np.floating[Any]], second: float) -> None:
    """Raise MediaError if a float stream has samples that resampling would turn into clicks or clip."""
    greatest = np.abs(samples).max(initial=0.0)
    if not greatest <= LOUDEST:  # NaN too
        raise MediaError(
            f"{path}: the sound near {second:.2f} s has a sample of {greatest:.6g}, where 1 is full scale; "
            f"write it again (were integers stored as floats?)"
        )


def read_wave(path: Path, start: float = 0.0, seconds: float = math.inf) -> NDArray[np.float32]:
    """The sound (S,), mono, 16 kHz, of a sound or video file, from its own first sample.

    Returns at most ``seconds`` from ``start`` on, and nothing beyond the end of the file. Memory does not grow with the
    file. A part resampled from another rate lies within half a sample of the same part of the whole. Raises
    :class:`MediaError` if the file has no sound, cannot be read, or holds floats far over full scale.
    """
    with opened(path) as container:
        wave = _sound(path, container, None, start, seconds)
    if wave is None or (not len(wave) and start == 0):
        raise MediaError(f"{path}: has no sound; name a sound file, or a video with sound")
    return wave


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; read again only if its size or modification time has changed.

    Raises :class:`UnreachableError` if the file cannot be read.
    """
    try:
        status = path.stat()
        return _content_digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise _unreachable(path, error) from error


@cache
def _content_digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
