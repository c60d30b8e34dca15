"""Rejection of observers by kurtosis, as in Recommendation ITU-R BT.500."""

from __future__ import annotations

import math

import attrs
import numpy as np

from .ratings import Scores

FEWEST = 6
"""Minimum judges of a presentation: the largest deviation among n is (n - 1) / sqrt(n) standard deviations, and with
fewer judges none can be two standard deviations from their mean."""

OFTEN = 0.05
"""Share of scores that must be far off for a judge to be rejected."""

SIDED = 0.3
"""Imbalance of high and low outliers above which a judge is not rejected, being consistently strict or mild."""


_ROUNDING = 1e-9
"""Tolerance for comparisons, which include equality: integer scores often reach it, and rounding must not matter."""


@attrs.frozen
class FarOff:
    """How often one judge was far from the mean of all."""

    high: int
    low: int
    scores: int
    """Scores of presentations with enough judges."""

    @property
    def share(self) -> float:
        """(P + Q) / scores."""
        return (self.high + self.low) / self.scores if self.scores else 0.0

    @property
    def imbalance(self) -> float:
        """abs(P - Q) / (P + Q); 1 if no score was far off."""
        far = self.high + self.low
        return abs(self.high - self.low) / far if far else 1.0

    @property
    def rejected(self) -> bool:
        """Whether scores are often far off, on both sides."""
        return self.share > OFTEN and self.imbalance < SIDED


def far_off(scores: Scores, *, freedom: int = 1) -> list[FarOff]:
    """For each judge, the number of scores (J, presentations) that are far off.

    Far off is ``u >= mean + 2 s`` (P) or ``u <= mean - 2 s`` (Q), with ``sqrt(20)`` instead of 2 if the scores of the
    presentation are not normally distributed, that is, if their kurtosis ``m4 / m2**2`` is not within 2 and 4. NaN is a
    missing score. A judge's share is relative to the scores it gave, because not everyone sees every clip. ``s`` is
    divided by ``n - freedom``, 1 in the recommendation, 0 in the program sureal.

    Reference: Recommendation ITU-R BT.500-14 (2019), "Methodologies for the subjective assessment of the quality of
    television images", screening of observers for all methods but SSCQE.
    """
    high = np.zeros(scores.shape[0], int)
    low = np.zeros_like(high)
    seen = np.zeros_like(high)
    for column in scores.T:
        there = ~np.isnan(column)
        given = column[there]
        if given.size < FEWEST:
            continue
        seen += there
        away = given - given.mean()
        second = float(np.mean(away**2))
        if second == 0:  # all scores are equal; none is far off
            continue
        normal = 2 - _ROUNDING <= float(np.mean(away**4)) / second**2 <= 4 + _ROUNDING
        reach = (2 if normal else math.sqrt(20)) * float(given.std(ddof=freedom)) - _ROUNDING
        high[there] += away >= reach
        low[there] += away <= -reach
    return [FarOff(int(p), int(q), int(n)) for p, q, n in zip(high, low, seen, strict=True)]
