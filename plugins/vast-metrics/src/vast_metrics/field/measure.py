"""What the measures of the field share: a value for each video, and a score that compares the means of two sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar, Literal, Self
from weakref import WeakKeyDictionary

import attrs
import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Performance, PooledMetric, Sizes

from .. import pairs

NOTHING = 1e-12
"""Mean of the references below which they have nothing to compare with."""


@attrs.frozen
class Sides:
    """A measure's values of one clip."""

    prediction: float
    reference: float


def scored(name: str, unit: str = "") -> tuple[Measure, Measure]:
    """A value that is neither good nor bad, and its score."""
    return Measure(name=name, better="neither", unit=unit), Measure(name=f"{name}_score", better="higher")


class FieldMeasure(PooledMetric):
    """A value of a video, and a score that compares the mean m over all videos with that of the real ones.

    score = 1 - |m - m_real| / |m_real|

    It is 1 if the means are equal, and has no lower limit. A single clip has a value, but no score.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    resampled: ClassVar[bool] = True

    def __init__(self, options: Any = None) -> None:
        self.options = options

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """Build with the config's options."""
        return cls(config)

    @abstractmethod
    def value(self, performance: Performance) -> float:
        """The value of one video. Raises NotComputed if something is missing."""

    @torch.no_grad()
    def part(self, prediction: Performance, reference: Performance) -> Sides:
        """Both values."""
        (pairs.vertices if self.needs == "vertices" else pairs.frames)(prediction, reference, self.measures[0].name)
        return Sides(self._of(prediction), self._of(reference))

    def pool(self, parts: Sequence[Sides]) -> dict[str, float]:
        """Mean value of the predictions, and the score. Raises NotComputed if the references have a mean of 0."""
        name, score = (measure.name for measure in self.measures)
        mean, real = (fmean(getattr(part, side) for part in parts) for side in ("prediction", "reference"))
        if abs(real) < NOTHING:
            raise NotComputed(f"{name} is 0 in the references, so there is nothing to compare with")
        return {name: mean, score: 1 - abs(mean - real) / abs(real)}

    def each(self, parts: Sequence[Sides]) -> Sequence[Mapping[str, float]]:
        """The value of each clip."""
        return [{self.measures[0].name: part.prediction} for part in parts]

    def _of(self, performance: Performance) -> float:
        known = _KNOWN.setdefault(performance, {})
        key = (type(self), self.options)
        if key not in known:
            known[key] = self.value(performance)
        return known[key]


_KNOWN: WeakKeyDictionary[Performance, dict[Any, float]] = WeakKeyDictionary()
"""Values by performance: a measure by itself and a composite need the same, which may be slow."""


class Composite(PooledMetric):
    """Mean of the scores of :attr:`parts_of`, over those that are computed."""

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    resampled: ClassVar[bool] = True

    def __init__(self, measures: Mapping[str, FieldMeasure]) -> None:
        self._measures = measures

    @torch.no_grad()
    def part(self, prediction: Performance, reference: Performance) -> dict[str, Sides]:
        """Both values of each measure that this clip has. Raises NotComputed if it has none."""
        pairs.vertices(prediction, reference, self.measures[0].name)
        found: dict[str, Sides] = {}
        reasons = []
        for name, measure in self._measures.items():
            if measure.needs == "frames" and (prediction.frames is None or reference.frames is None):
                continue
            try:
                found[name] = measure.part(prediction, reference)
            except NotComputed as error:
                reasons.append(str(error))
        if not found:
            raise NotComputed(reasons[0] if reasons else "there are neither vertices nor frames")
        return found

    def pool(self, parts: Sequence[Mapping[str, Sides]]) -> dict[str, float]:
        """The mean score. Raises NotComputed if no measure has one."""
        scores = []
        for name, measure in self._measures.items():
            own = [part[name] for part in parts if name in part]
            try:
                scores += [measure.pool(own)[measure.measures[1].name]] if own else []
            except NotComputed:
                continue
        if not scores:
            raise NotComputed("none of its measures has a score")
        return {self.measures[0].name: fmean(scores)}
