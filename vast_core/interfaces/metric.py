"""Metrics: their inputs and the meaning of their numbers."""

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
    """Name, direction and unit of a number."""

    name: str
    better: Literal["lower", "higher", "closer to 0", "neither"]
    """``neither`` if the number alone is neither good nor bad, such as blinks per minute."""
    unit: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Performance:
    """Prediction or recording of one clip; None means unknown."""

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
    landmarks: Tensor | None = None
    """(T, V, 2): the tracked vertices in the whole video, which may be larger than ``frames``, in its pixels."""
    size: tuple[int, int] | None = None
    """(Y, X) of the whole video."""
    audio: Tensor | None = None
    """(T, A): audio features of its sound."""
    wave: Tensor | None = None
    """(S,): its sound at 16 kHz."""
    name: str = ""
    """Name of the clip."""
    speaker: str = ""
    style: str = ""
    """Style of the clip, if its corpus labels styles."""
    prompt: Performance | None = None
    """For a prediction: the clip whose style it should have."""
    takes: Sequence[Tensor] = ()
    """For a prediction: vertices (T, V, 3) of the same words with other styles, drawn from the prior."""


class Metric(ABC):
    """Compares a prediction with its reference.

    If it lacks an input or weights, it raises :class:`vast_core.errors.NotComputed` instead of giving a number.
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
    """Compares a set of predictions with their references, such as FID; a single clip is not enough.

    Each clip is reduced to a part once; the numbers are computed from all parts.
    """

    resampled: ClassVar[bool] = False
    """Whether intervals are computed by pooling several hundred resamples of the parts; True only if that is fast."""

    @abstractmethod
    def part(self, prediction: Performance, reference: Performance) -> Any:
        """The part of one clip; it should be small, because all parts are in memory together."""

    @abstractmethod
    def pool(self, parts: Sequence[Any]) -> dict[str, float]:
        """One number for each of ``measures``, by name, of all ``parts``."""

    def each(self, parts: Sequence[Any]) -> Sequence[Mapping[str, float]]:
        """Measures of each clip, which may depend on all parts; by default none.

        If every clip has a measure, its interval is computed from these.
        """
        return [{} for _ in parts]

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The numbers of a single clip."""
        return self.pool([self.part(prediction, reference)])
