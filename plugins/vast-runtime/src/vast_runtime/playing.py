"""The avatar's own footage, played without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from .errors import AvatarError
from .packed import Packed

EXACT_COLOUR = 0x2 | 0x40000 | 0x2000
"""SWS_BILINEAR, SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT: without the last two, pictures darken each time they are written
and read."""

Image = NDArray[np.uint8]


def play(packed: Packed) -> Iterator[tuple[int, Image]]:
    """Number and picture (Y, X, 3) of the frames 0, 1, ... T - 1, 0, 1, ... Raises :class:`AvatarError` if the video is
    damaged."""
    frames, (y, x), number = packed.facts["frames"], packed.facts["size"], -1
    try:
        with packed.video() as file, av.open(file, "r") as container:
            stream: Any = container.streams.video[0]
            stream.thread_type = "AUTO"
            while True:
                container.seek(0, stream=stream)
                for frame in container.decode(stream):
                    number = round(frame.pts * stream.time_base * stream.average_rate)
                    picture = frame.to_ndarray(format="rgb24", interpolation=EXACT_COLOUR)
                    yield number, np.ascontiguousarray(picture, np.uint8)[:y, :x]
                    if number >= frames - 1:
                        break
                if number != frames - 1:
                    raise AvatarError(f"{packed.path}: its video ends before frame {frames - 1}; copy it again")
    except (OSError, av.FFmpegError) as error:
        raise AvatarError(f"{packed.path}: its video is damaged near frame {number + 1} ({error.strerror})") from error
    except (IndexError, TypeError) as error:
        raise AvatarError(f"{packed.path}: its video has no pictures, or no times of them; pack it again") from error
