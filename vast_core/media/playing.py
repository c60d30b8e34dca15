"""Play a video endlessly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import MediaError
from .colour import EXACT_COLOUR
from .opening import opened


def endlessly(path: Path, frames: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Number and picture (Y, X, 3), RGB, of the frames 0, 1, ... ``frames`` - 1, 0, 1, ... of a video.

    The video must be written by :class:`VideoWriter`: upright, with constant rate, starting at time 0. Raises
    :class:`MediaError` if the file cannot be read or has fewer frames.
    """
    with opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        while True:
            yield from _once(path, container, stream, frames)


def _once(path: Path, container: Any, stream: Any, frames: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    number = -1
    try:
        container.seek(0, stream=stream)
        for frame in container.decode(stream):
            number = round(frame.pts * stream.time_base * stream.average_rate)
            yield number, np.ascontiguousarray(frame.to_ndarray(format="rgb24", interpolation=EXACT_COLOUR))
            if number >= frames - 1:
                return
    except (OSError, av.FFmpegError) as error:
        raise MediaError(f"{path}: damaged near frame {number + 1} ({error.strerror}); copy it again") from error
    raise MediaError(f"{path}: ends before frame {frames - 1}; copy it again")
