"""Student's intervals and Holm's correction, for every table of the project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs
import numpy as np
from scipy import stats

CONFIDENCE = 0.95
"""Confidence level of all intervals; tests use 1 - CONFIDENCE."""

Evidence = Literal["better", "worse", "different", "no evidence", "not tested"]


@attrs.frozen
class Estimate:
    """A mean and its 95 % interval; ``low`` and ``high`` are None if there is a single value."""

    mean: float
    low: float | None
    high: float | None
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student's 95 % interval, mean +- t(0.975, n - 1) s / sqrt(n).

    Raises:
        ValueError: if there is no value, or one is not finite.
    """
    sample = np.asarray(values, float)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"an estimate needs at least one value, all finite, not {list(values)}")
    mean = float(sample.mean())
    if sample.size == 1:
        return Estimate(mean, None, None, 1)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, sample.size - 1) * stats.sem(sample))
    return Estimate(mean, mean - half, mean + half, sample.size)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values, max over j <= i of min(1, (m - j + 1) p_(j)), in the order given (Holm 1979)."""
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted


def evidence_of(difference: float, adjusted: float | None, better: str) -> Evidence:
    """What a difference is evidence of, given its corrected p value; None stands for a p that could not be computed.

    For measures where closer to 0 is better, ``difference`` is the difference of the distances from 0.
    """
    if adjusted is None:
        return "not tested"
    if adjusted >= 1 - CONFIDENCE:
        return "no evidence"
    if better == "neither":
        return "different"
    return "better" if (difference > 0) == (better == "higher") else "worse"
