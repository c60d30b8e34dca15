"""What the metrics of a recipe say of clip after clip, and of all together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vast_core.interfaces import Metric, Performance, PooledMetric

from ..measuring import checked, measure, reason_of


class Scores:
    """Gathers numbers; of metrics that cannot tell, why."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)
        self._values: dict[str, list[float]] = {}
        self._parts: dict[int, list[Any]] = {}
        self.not_computed: dict[str, str] = {}
        """By the measures' names, the first reason given."""

    def add(self, ours: Performance, real: Performance) -> dict[str, float]:
        """The numbers of one clip; a pooled metric keeps its part for the end."""
        found = measure(self._metrics, ours, real, {})
        for place, part in found.parts.items():
            self._parts.setdefault(place, []).append(part)
        for place, reason in found.reasons.items():
            self._note(self._metrics[place], reason)
        for name, value in found.values.items():
            self._values.setdefault(name, []).append(value)
        return dict(found.values)

    def overall(self) -> dict[str, float]:
        """The mean of each measure over the clips that have it, and what pooled metrics make of all parts."""
        found = {name: float(np.mean(values)) for name, values in self._values.items()}
        for place, parts in self._parts.items():
            metric = self._metrics[place]
            if isinstance(metric, PooledMetric):
                try:
                    found |= checked(metric, metric.pool(parts))
                except Exception as error:  # noqa: BLE001 - one metric that fails must not cost all others
                    self._note(metric, reason_of(error))
        return found

    def _note(self, metric: Metric, reason: str) -> None:
        for own in metric.measures:
            self.not_computed.setdefault(own.name, reason)
