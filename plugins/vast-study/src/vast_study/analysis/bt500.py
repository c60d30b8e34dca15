"""Rejection of observers by kurtosis, as in Recommendation ITU-R BT.500."""

from __future__ import annotations

import math

import attrs
import numpy as np

from .ratings import Scores

FEWEST = 6
"""Judges of a presentation below whom none of them can be two standard deviations from their mean, however odd:
the largest deviation among n is (n - 1) / sqrt(n) of them."""

OFTEN = 0.05
"""Share of its scores that must be far off for a judge to be rejected."""

SIDED = 0.3
"""Below this imbalance of high and low ones: who is always strict, or always mild, is not rejected."""


_ROUNDING = 1e-9
"""All comparisons include equality, which whole scores often reach, and rounding must not undo."""


@attrs.frozen
class FarOff:
    """How often one judge was far from the mean of all."""

    high: int
    low: int
    scores: int
    """Of presentations with enough judges."""

    @property
    def share(self) -> float:
        """(P + Q) / scores."""
        return (self.high + self.low) / self.scores if self.scores else 0.0

    @property
    def imbalance(self) -> float:
        """abs(P - Q) / (P + Q); 1 where it was never far off."""
        far = self.high + self.low
        return abs(self.high - self.low) / far if far else 1.0

    @property
    def rejected(self) -> bool:
        """Often far off, and to both sides."""
        return self.share > OFTEN and self.imbalance < SIDED


def far_off(scores: Scores, *, freedom: int = 1) -> list[FarOff]:
    """For each judge, how many of its scores (J, presentations) are far off.

    Far off is ``u >= mean + 2 s`` (P) or ``u <= mean - 2 s`` (Q), with ``sqrt(20)`` in place of 2 where the scores of
    the presentation are not normally distributed, that is, where their kurtosis ``m4 / m2**2`` is not within 2 and 4.
    NaN is a missing score. A judge's share is taken of the scores it gave, as not everyone sees every clip. ``s`` is
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
        if second == 0:  # all agree; nobody is far off
            continue
        normal = 2 - _ROUNDING <= float(np.mean(away**4)) / second**2 <= 4 + _ROUNDING
        reach = (2 if normal else math.sqrt(20)) * float(given.std(ddof=freedom)) - _ROUNDING
        high[there] += away >= reach
        low[there] += away <= -reach
    return [FarOff(int(p), int(q), int(n)) for p, q, n in zip(high, low, seen, strict=True)]
