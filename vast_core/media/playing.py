"""Play a video forward and back, endlessly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from ..errors import MediaError
from .colour import EXACT_COLOUR
from .opening import opened


def forward_and_back(path: Path, frames: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Number and picture (Y, X, 3), RGB, of the frames 0, 1, ... ``frames`` - 1, ... 1, 0, 1, ... of a video.

    The video must be written by :class:`VideoWriter`: upright, with constant rate, starting at time 0. Backwards it is
    decoded from key frame to key frame, so that memory has only the frames between two key frames. Raises
    :class:`MediaError` if the file cannot be read or has fewer frames.
    """
    with opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        while True:
            for number, frame in _decoded(path, container, stream, 0, max(1, frames - 1)):
                yield number, _picture(frame)
            stop = frames
            while stop > 1:
                shot = list(_decoded(path, container, stream, stop - 1, stop))
                for number, frame in reversed(shot):
                    if number > 0:
                        yield number, _picture(frame)
                stop = shot[0][0]


def _decoded(
    path: Path, container: InputContainer, stream: Any, wanted: int, stop: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames from the last key frame at or before number ``wanted`` up to ``stop``, exclusive."""
    try:
        container.seek(int(wanted / stream.average_rate / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            number = round(frame.pts * stream.time_base * stream.average_rate)
            yield number, frame
            if number >= stop - 1:
                return
    except (OSError, av.FFmpegError) as error:
        raise MediaError(f"{path}: damaged near frame {wanted} ({error.strerror}); copy it again") from error
    raise MediaError(f"{path}: ends before frame {stop - 1}; copy it again")


def _picture(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24", interpolation=EXACT_COLOUR))
