"""Metrics on a pair of performances: if one fails, the reason is recorded and the others continue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import Metric, Performance, PooledMetric


@attrs.frozen
class Measured:
    """The results of metrics for one pair; metrics are identified by their position."""

    values: Mapping[str, float]
    """Values by measure."""
    parts: Mapping[int, Any]
    """The part of the pair stored by each pooled metric."""
    reasons: Mapping[int, str]
    """Why a metric gave no value."""


@torch.no_grad()
def measure(
    metrics: Sequence[Metric],
    prediction: Performance,
    reference: Performance,
    lacking: Mapping[Literal["vertices", "frames"], str],
) -> Measured:
    """Compute every metric on one pair; ``lacking`` has the reasons for missing vertices or frames."""
    values: dict[str, float] = {}
    parts: dict[int, Any] = {}
    reasons: dict[int, str] = {}
    for place, metric in enumerate(metrics):
        try:
            if metric.needs in lacking:
                raise NotComputed(lacking[metric.needs])
            if isinstance(metric, PooledMetric):
                parts[place] = metric.part(prediction, reference)
            else:
                values |= checked(metric, metric(prediction, reference))
        except Exception as error:  # noqa: BLE001 - a metric that fails on one clip must not affect the others
            reasons[place] = reason_of(error)
    return Measured(values, parts, reasons)


def reason_of(error: Exception) -> str:
    """Why a metric gave no value; failures are distinguished from known reasons."""
    return str(error) if isinstance(error, NotComputed) else f"it failed: {type(error).__name__}: {error}"


def checked(metric: Metric, found: Mapping[str, float], *, whole: bool = True) -> dict[str, float]:
    """Values by measure. Raises ValueError if one is not finite, or not declared by the metric."""
    declared = [measure.name for measure in metric.measures]
    if set(found) - set(declared) or (whole and set(declared) - set(found)):
        raise ValueError(f"it returned {', '.join(found) or 'nothing'}, but declares {', '.join(declared)}")
    values = {name: float(value) for name, value in found.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    return values
