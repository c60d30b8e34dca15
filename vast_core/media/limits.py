"""Limits for files that claim to be enormous: no recording of a talking person reaches them (our choice)."""

from __future__ import annotations

from pathlib import Path

from ..errors import MediaError

MOST_PIXELS = 1 << 26
"""Pixels of a picture, as many as 8192 x 8192; a picture of 8K has half of that."""

LONGEST = 4 * 3600.0
"""Seconds of one recording."""

LONGEST_PAUSE = 600.0
"""Seconds for which one picture is shown."""


def check_picture(path: Path, height: int, width: int) -> None:
    """Raise :class:`MediaError` if a picture has no pixels or more than :data:`MOST_PIXELS`."""
    if not 0 < height * width <= MOST_PIXELS:
        raise MediaError(
            f"{path}: its pictures are {width} x {height}, and may have {MOST_PIXELS:,} pixels at most; is it damaged? "
            "Convert it again"
        )


def check_time(path: Path, second: float) -> None:
    """Raise :class:`MediaError` if a recording goes on for more than :data:`LONGEST`."""
    if not abs(second) <= LONGEST:
        raise MediaError(
            f"{path}: something in it is to be seen or heard at {second:.0f} s, and at most {LONGEST / 3600:g} hours "
            "are read; cut it into parts, or is it damaged?"
        )


def check_pause(path: Path, begin: float, seconds: float) -> None:
    """Raise :class:`MediaError` if one picture is to be shown for more than :data:`LONGEST_PAUSE`."""
    if not seconds <= LONGEST_PAUSE:
        raise MediaError(
            f"{path}: the picture at {begin:.2f} s is to be shown for {seconds:.0f} s, and at most {LONGEST_PAUSE:g} s "
            "are read; cut it before, or is it damaged?"
        )
