"""Values of a recipe's metrics, clip by clip and over all clips."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vast_core.interfaces import Metric, Performance, PooledMetric

from ..measuring import checked, measure, reason_of


class Scores:
    """Collects values, and the reasons of metrics without one."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)
        self._values: dict[str, list[float]] = {}
        self._parts: dict[int, list[Any]] = {}
        self.not_computed: dict[str, str] = {}
        """By name of the measure, the first reason."""

    def add(self, ours: Performance, real: Performance) -> dict[str, float]:
        """The values of one clip; a pooled metric stores its part."""
        found = measure(self._metrics, ours, real, {})
        for place, part in found.parts.items():
            self._parts.setdefault(place, []).append(part)
        for place, reason in found.reasons.items():
            self._note(self._metrics[place], reason)
        for name, value in found.values.items():
            self._values.setdefault(name, []).append(value)
        return dict(found.values)

    def overall(self) -> dict[str, float]:
        """The mean of each measure over the clips that have it, and the values of pooled metrics."""
        found = {name: float(np.mean(values)) for name, values in self._values.items()}
        for place, parts in self._parts.items():
            metric = self._metrics[place]
            if isinstance(metric, PooledMetric):
                try:
                    found |= checked(metric, metric.pool(parts))
                except Exception as error:  # noqa: BLE001 - a metric that fails must not affect the others
                    self._note(metric, reason_of(error))
        return found

    def _note(self, metric: Metric, reason: str) -> None:
        for own in metric.measures:
            self.not_computed.setdefault(own.name, reason)
