"""Metrics on a pair of performances: what one of them cannot tell is noted, and the others go on."""

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
    """What metrics say of one pair; a metric is known by its place among them."""

    values: Mapping[str, float]
    """Numbers by measure."""
    parts: Mapping[int, Any]
    """What each pooled metric keeps of the pair."""
    reasons: Mapping[int, str]
    """Why a metric gave nothing."""


@torch.no_grad()
def measure(
    metrics: Sequence[Metric],
    prediction: Performance,
    reference: Performance,
    lacking: Mapping[Literal["vertices", "frames"], str],
) -> Measured:
    """Every metric on one pair; ``lacking`` says why there are no vertices or frames, where there are none."""
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
        except Exception as error:  # noqa: BLE001 - one metric that fails on one clip must not cost all others
            reasons[place] = reason_of(error)
    return Measured(values, parts, reasons)


def reason_of(error: Exception) -> str:
    """Why a metric gave nothing; a failure is told from what it knows to be lacking."""
    return str(error) if isinstance(error, NotComputed) else f"it failed: {type(error).__name__}: {error}"


def checked(metric: Metric, found: Mapping[str, float], *, whole: bool = True) -> dict[str, float]:
    """Values by measure. Raises ValueError where one is no number, or not one that the metric declares."""
    declared = [measure.name for measure in metric.measures]
    if set(found) - set(declared) or (whole and set(declared) - set(found)):
        raise ValueError(f"it gives {', '.join(found) or 'nothing'}, and declares {', '.join(declared)}")
    values = {name: float(value) for name, value in found.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    return values
