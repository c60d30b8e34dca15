"""How a plugin marks the videos in which an avatar speaks, so that everyone can tell that they are synthetic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Marker", "Origin"]


@attrs.frozen(kw_only=True)
class Origin:
    """Where a video comes from."""

    avatar: str
    """Name of the speaker."""
    run: str
    """Name of the run, as its recipe gives it."""
    recipe: str
    """Digest of the sections of the recipe that an avatar needs to speak."""
    weights: str
    """Digest of the avatar's files of weights."""
    software: str
    """Name and version of the program."""
    consent: str
    """What is on record about the consent of the speaker, in words."""
    sections: Mapping[str, Any]
    """Options of the recipe's sections that plugins read, by name."""


class Marker:
    """Marks the videos of one avatar; a plugin overrides the methods that it needs.

    Equal frames of equal numbers must be marked equally. A method that cannot do its work raises a
    :class:`vast_core.errors.VastError`; then no video is written.
    """

    def lines(self) -> list[str]:
        """What it writes and what the recipe has switched off, a sentence each, for the report."""
        return []

    def metadata(self) -> Mapping[str, str]:
        """Entries for the container: ``title``, ``description``, ``synopsis``, ``copyright``."""
        return {}

    def frame(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame (Y, X, 3), RGB, marked; the given one is not changed."""
        return frame

    def finish(self, path: Path) -> None:
        """Change a complete mp4 in place, before it gets its name."""
