"""Clips and where they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol, Self, runtime_checkable

import attrs
import numpy as np
from numpy.typing import NDArray

from .face import FaceTrack
from .sizes import Sizes


@runtime_checkable
class Footage(Protocol):
    """Moving pictures and sound of one clip, read when asked and as often as asked.

    Every method raises :class:`vast_core.errors.MediaError`, naming file and frame, where the medium is bad.
    """

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (Y, X, 3), RGB, upright, contiguous, at the recipe's fps."""
        ...

    def wave(self) -> NDArray[np.float32] | None:
        """The sound (S,), mono at 16 kHz, starting with the first frame; None where there is none."""
        ...


@attrs.frozen(kw_only=True)
class Phone:
    """One phone of a transcript in time (seconds); ``label`` is an ARPAbet phone or ``SIL``."""

    label: str
    start: float
    end: float


@attrs.frozen(kw_only=True, eq=False)
class Clip:
    """One piece of footage of one speaker, with all that its corpus knows of it."""

    name: str
    """Unique in its corpus; printed in messages and reports."""
    speaker: str
    footage: Footage
    digest: str
    """Identifies pictures, sound, phones and true track: where one of them changes, so must the digest."""
    split: Literal["train", "held_out"] | None = None
    """None leaves it to the prepare stage, which holds out the end of the clip."""
    style: str | None = None
    transcript: str | None = None
    phones: tuple[Phone, ...] = ()
    factors: Mapping[str, float] = attrs.field(factory=dict)
    """Human-readable factors of the style, where the corpus made it."""
    track: FaceTrack | None = None
    """The true track, where the corpus knows it; else the face component tracks the frames."""
    size: tuple[int, int] | None = None
    """(Y, X) of the frames where known without reading them."""


class Corpus(ABC):
    """Where clips come from."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def clips(self) -> Iterable[Clip]:
        """All clips in a fixed order; cheap (footage is read later, and a bad file raises only then).

        Raises :class:`vast_core.errors.InputError` where there is no clip at all.
        """

    def counterfactual(self, clip: Clip, style: str) -> Clip | None:
        """The same sentence by the same speaker in another style; None where the corpus cannot know it."""
        return None
