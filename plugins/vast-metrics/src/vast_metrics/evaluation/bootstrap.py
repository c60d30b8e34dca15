"""Percentile bootstrap over clips (Efron 1979): what other clips of the same kind might have given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vast_core.interfaces import PooledMetric
from vast_core.statistics import CONFIDENCE

TAILS = (100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2)
"""Percent."""


def interval(values: Sequence[float], resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean: percentiles of the means of ``resamples`` draws with replacement."""
    sample = np.asarray(values, float)
    chosen = np.random.default_rng(seed).integers(len(sample), size=(resamples, len(sample)))
    low, high = np.percentile(sample[chosen].mean(1), TAILS)
    return float(low), float(high)


def pooled_intervals(
    metric: PooledMetric, parts: Sequence[Any], resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each measure: percentiles over ``resamples`` draws of parts, pooled anew."""
    chance = np.random.default_rng(seed)
    draws = [
        metric.pool([parts[place] for place in chance.integers(len(parts), size=len(parts))]) for _ in range(resamples)
    ]
    bounds = {name: np.percentile([draw[name] for draw in draws], TAILS) for name in draws[0]}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
