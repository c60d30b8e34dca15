"""What the metrics of a recipe say of clip after clip, and of all together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vast_core.errors import NotComputed
from vast_core.interfaces import Metric, Performance, PooledMetric


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
        found: dict[str, float] = {}
        for number, metric in enumerate(self._metrics):
            try:
                if isinstance(metric, PooledMetric):
                    self._parts.setdefault(number, []).append(metric.part(ours, real))
                else:
                    found |= metric(ours, real)
            except NotComputed as error:
                self._note(metric, error)
        for name, value in found.items():
            self._values.setdefault(name, []).append(value)
        return found

    def overall(self) -> dict[str, float]:
        """The mean of each measure over the clips that have it, and what pooled metrics make of all parts."""
        found = {name: float(np.mean(values)) for name, values in self._values.items()}
        for number, parts in self._parts.items():
            metric = self._metrics[number]
            if isinstance(metric, PooledMetric):
                try:
                    found |= metric.pool(parts)
                except NotComputed as error:
                    self._note(metric, error)
        return found

    def _note(self, metric: Metric, error: NotComputed) -> None:
        for measure in metric.measures:
            self.not_computed.setdefault(measure.name, str(error))
