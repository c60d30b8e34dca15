"""Metrics: what they are given and what their numbers mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import attrs
from torch import Tensor

from .face import Face
from .sizes import Sizes


@attrs.frozen(kw_only=True)
class Measure:
    """What a number means."""

    name: str
    better: Literal["lower", "higher", "closer to 0", "neither"]
    """``neither`` where the number alone is no merit, such as blinks a minute."""
    unit: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Performance:
    """What was predicted, or recorded, of one clip; what is None is not known of it."""

    face: Face
    fps: float
    vertices: Tensor | None = None
    """(T, V, 3), canonical."""
    neutral: Tensor | None = None
    """(V, 3), canonical: the speaker's neutral face."""
    frames: Tensor | None = None
    """(T, 3, Y, X)."""
    region: Tensor | None = None
    """(T, 1, Y, X): 1 over the face."""
    pose: Tensor | None = None
    """(T, 3, 4), canonical to image."""
    mouth: Tensor | None = None
    """(T, 4): centre x, centre y, width and height of the mouth in ``frames``, in their pixels."""
    audio: Tensor | None = None
    """(T, A): audio features of the sound that is heard with it."""
    wave: Tensor | None = None
    """(S,): that sound."""
    name: str = ""
    """Of the clip."""
    speaker: str = ""
    style: str = ""
    """Of the clip, where its corpus labels styles."""
    prompt: Performance | None = None
    """Of a prediction: the clip in whose style it is to be."""
    takes: Sequence[Tensor] = ()
    """Of a prediction: vertices (T, V, 3) of the same words with other styles, drawn from the prior."""


class Metric(ABC):
    """Compares a prediction with its reference.

    Where it lacks what it needs, a sound or weights, it raises :class:`vast_core.errors.NotComputed`, never gives
    a number.
    """

    needs: ClassVar[Literal["vertices", "frames"]]
    measures: tuple[Measure, ...]

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """One number for each of ``measures``, by name."""


class PooledMetric(Metric):
    """Compares a set of predictions with their references, such as FID; a clip alone tells little.

    Each clip is brought down to a part, once, and numbers come of all parts together.
    """

    resampled: ClassVar[bool] = False
    """Whether an interval may be had by pooling some hundreds of resamples of the parts: only where that is fast."""

    @abstractmethod
    def part(self, prediction: Performance, reference: Performance) -> Any:
        """What is to be kept of a clip; small, as all parts are in memory together."""

    @abstractmethod
    def pool(self, parts: Sequence[Any]) -> dict[str, float]:
        """One number for each of ``measures``, by name, of all ``parts``."""

    def each(self, parts: Sequence[Any]) -> Sequence[Mapping[str, float]]:
        """What can be said of each clip, in the light of all; by default nothing.

        A measure that every clip has takes its interval from these.
        """
        return [{} for _ in parts]

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The numbers of one clip alone."""
        return self.pool([self.part(prediction, reference)])
