"""Clips and corpora."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol, Self, runtime_checkable

import attrs
import numpy as np
from numpy.typing import NDArray

from .consent import Consent
from .face import FaceTrack
from .sizes import Sizes


@runtime_checkable
class Footage(Protocol):
    """Frames and sound of one clip, read on each call; calls can be repeated.

    Every method raises :class:`vast_core.errors.MediaError` with file and frame if the medium cannot be read.
    """

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (Y, X, 3), RGB, upright, contiguous, at the recipe's fps."""
        ...

    def wave(self) -> NDArray[np.float32] | None:
        """The sound (S,), mono at 16 kHz, starting with the first frame; None if there is none."""
        ...


@attrs.frozen(kw_only=True)
class Phone:
    """One phone of a transcript; ``start`` and ``end`` in seconds, ``label`` an ARPAbet phone or ``SIL``."""

    label: str
    start: float
    end: float


@attrs.frozen(kw_only=True, eq=False)
class Clip:
    """One piece of footage of one speaker, with the facts that its corpus has about it."""

    name: str
    """Unique in its corpus; shown in messages and reports."""
    speaker: str
    footage: Footage
    digest: str
    """Identifies pictures, sound, phones and true track: if one of them changes, the digest must change."""
    split: Literal["train", "held_out"] | None = None
    """None: the prepare stage decides, and holds out the end of the clip."""
    style: str | None = None
    transcript: str | None = None
    phones: tuple[Phone, ...] = ()
    factors: Mapping[str, float] = attrs.field(factory=dict)
    """Named factors of the style, if the corpus generated it."""
    track: FaceTrack | None = None
    """The true track, if the corpus has it; otherwise the face component tracks the frames."""
    size: tuple[int, int] | None = None
    """(Y, X) of the frames, if known without reading them."""


class Corpus(ABC):
    """A source of clips."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def clips(self) -> Iterable[Clip]:
        """All clips in a fixed order. This is cheap: footage is read later, and a bad file raises only then.

        Raises :class:`vast_core.errors.InputError` if there are no clips.
        """

    def consents(self) -> Mapping[str, Consent | None]:
        """What is on record of each speaker who is a real person, None if nothing is; by default nobody is one."""
        return {}

    def group(self, clip: Clip) -> tuple[str, float]:
        """Name and weight of the group that a clip belongs to.

        Training draws groups by weight, whatever their length, and clips within a group by length. A corpus of one kind
        of footage is one group.
        """
        return "", 1.0

    def counterfactual(self, clip: Clip, style: str) -> Clip | None:
        """The same sentence by the same speaker in the given style; None if the corpus cannot provide it."""
        return None

    def with_factors(self, clip: Clip, factors: Mapping[str, float]) -> Clip | None:
        """The same clip with these factors of its style, the others as in ``clip``; None if the corpus cannot."""
        return None
