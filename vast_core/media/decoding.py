"""Decoded frames of one stream, and whether they are all that the file announces."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from ..errors import MediaError, MediaWarning
from .announced import missing_bytes, second_recording
from .limits import MOST_PIXELS, check_picture
from .opening import reach
from .timeline import TS_DISCONT, packets

_ENDLESS = TS_DISCONT | 0x80 | 0x100
"""Flags of formats that are written as it comes: also AVFMT_NOTIMESTAMPS and AVFMT_GENERIC_INDEX."""

_UNDECODED = 0.5
"""Seconds of packets behind the last frame that give no frame and no error (our choice)."""

_FAILURES = 4
"""Broken packets in a row that are damage, and no tag or change between two recordings (our choice)."""


def decoded(path: Path, container: InputContainer, stream: Any) -> Iterator[Any]:
    """Decoded frames of ``stream``, on one clock (see :mod:`.timeline`).

    Raises :class:`MediaError` where data are damaged, or at the end if the file announces more than it has. A broken
    packet at the end of a file that announces no length is left out: there recording stopped. So are a few packets of
    formats that are written as it comes, such as the tags between two MP3 files that were joined.
    """
    # Only the index of the mp4 family lists every packet; that of Matroska, for one, lists key frames alone.
    announced = len(stream.index_entries) if "mp4" in container.format.name else 0
    endless = bool(container.format.flags & _ENDLESS)
    unit = "frame" if stream.type == "video" else "block of sound"
    count, number, second, end, reached = 0, 0, 0.0, 0.0, 0.0
    failures: list[str] = []

    def broken(why: str) -> MediaError:
        return MediaError(
            f"{path}: damaged or cut short at {unit} {number}, {second:.2f} s ({why}); copy or convert it again"
        )

    if stream.codec_context is None:
        raise MediaError(f"{path}: its {stream.type} is of a kind that FFmpeg does not know; convert it")
    if stream.type == "video":
        check_picture(path, stream.codec_context.height or 1, stream.codec_context.width or 1)
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # for pictures that become larger later
    try:
        for packet in packets(container):
            if packet.stream.index != stream.index:  # not packet.stream_index: of the packets that flush it is 0
                continue
            if failures and packet.size and not (endless and (number == 0 or len(failures) < _FAILURES)):
                raise broken(failures[0])
            count += packet.size > 0
            if packet.size and packet.pts is not None:
                reached = max(reached, float(packet.pts * packet.time_base))
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                failures.append(str(error.strerror))
                continue
            if packet.is_corrupt and not endless:
                failures.append("the data end in the middle of a packet")
            elif frames:
                failures.clear()
            for frame in frames:
                if frame.time is not None:
                    second = frame.time
                    end = second + _seconds(frame)
                yield frame
                number += 1
    except (OSError, av.FFmpegError) as error:
        reach(path)
        raise broken(str(error.strerror)) from error
    if count < announced:
        raise broken(f"its index announces {announced} packets, of which {count} are there")
    if why := missing_bytes(path) or _missing_samples(container, stream, end):
        raise broken(why)
    if failures and (announced or not number):
        raise broken(failures[0])
    if second_recording(path):
        warnings.warn(
            f"{path}: has another recording behind the first, which no player finds either, and is not read; join them "
            "with a program for video or sound, or keep them apart",
            MediaWarning,
            stacklevel=2,
        )
    elif number and reached - end > _UNDECODED:
        warnings.warn(
            f"{path}: what follows {end:.2f} s cannot be decoded; does it go on with another codec? Convert it to one",
            MediaWarning,
            stacklevel=2,
        )


def _seconds(frame: Any) -> float:
    return frame.samples / frame.sample_rate if isinstance(frame, av.AudioFrame) else 0.0


def _missing_samples(container: InputContainer, stream: Any, end: float) -> str:
    """Which samples of a FLAC file are missing, in words: its header states their number, or 0 if it is unknown."""
    if container.format.name != "flac" or not stream.duration:
        return ""
    seconds = float(stream.duration * stream.time_base)
    missing = seconds - end > 0.01
    return f"its header announces {seconds:.2f} s of sound, of which {end:.2f} s are there" if missing else ""
