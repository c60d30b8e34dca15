"""Agreement of judges: Krippendorff's alpha, and the intraclass correlations of Shrout and Fleiss."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from .ratings import Ratings, Scores


@attrs.frozen(kw_only=True)
class Agreement:
    """Agreement of all judges in one question; None where it cannot be computed."""

    question: str
    ordinal: float | None
    """Krippendorff's alpha of the scores as ranks."""
    interval: float | None
    """Krippendorff's alpha of the scores as numbers."""
    single: float | None
    """ICC(2,1): reliability of a single judge."""
    mean: float | None
    """ICC(2,k): reliability of the mean of all judges."""
    units: int
    """Videos that all judges rated, on which both ICC are based."""


def agreement(ratings: Ratings) -> tuple[Agreement, ...]:
    """For each question, over all videos (a system and a clip are a unit)."""
    return tuple(
        _agreement(question, scores.reshape(len(ratings.judges), -1))
        for question, scores in zip(ratings.questions, ratings.scores, strict=True)
    )


def _agreement(question: str, scores: Scores) -> Agreement:
    complete = scores[:, ~np.isnan(scores).any(axis=0)]
    single, mean = intraclass(complete.T)
    return Agreement(
        question=question,
        ordinal=krippendorff(scores, "ordinal"),
        interval=krippendorff(scores, "interval"),
        single=single,
        mean=mean,
        units=complete.shape[1],
    )


def krippendorff(scores: Scores, level: Literal["ordinal", "interval"]) -> float | None:
    """``alpha = 1 - D_observed / D_expected`` of scores (judges, units), NaN where one is missing.

    1 is perfect agreement, 0 is chance level. None if fewer than two scores can be paired, or all are equal.

    Reference: K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011.
    """
    values = np.unique(scores[~np.isnan(scores)])
    counts = np.stack([(scores == value).sum(axis=0) for value in values], axis=1) if values.size else np.zeros((0, 0))
    counts = counts[counts.sum(axis=1) > 1]  # a unit with a single score has no agreement
    if values.size < 2 or len(counts) == 0:
        return None
    each = counts.sum(axis=1, keepdims=True)
    coincidences = (counts.T / (each.T - 1)) @ counts - np.diag((counts / (each - 1)).sum(axis=0))
    total = coincidences.sum(axis=0)
    away = _distances(values, total, level)
    expected = float((np.outer(total, total) * away).sum()) / (float(total.sum()) - 1)
    return 1 - float((coincidences * away).sum()) / expected if expected > 0 else None


def _distances(values: Scores, total: Scores, level: Literal["ordinal", "interval"]) -> Scores:
    """Squared distances between values; for ranks, the number of scores between them, with half of their own
    included."""
    places = values if level == "interval" else np.cumsum(total) - total / 2
    return (places[:, None] - places[None, :]) ** 2


def intraclass(scores: Scores) -> tuple[float | None, float | None]:
    """ICC(2,1) and ICC(2,k) of complete scores (units, judges): judges are a random sample, agreement is absolute.

    ``ICC(2,1) = (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n)`` and ``ICC(2,k) = (BMS - EMS) / (BMS + (JMS -
    EMS) / n)`` with n units and k judges. None for both with fewer than two of either, or if all scores are equal.

    Reference: P. E. Shrout and J. L. Fleiss, "Intraclass correlations: uses in assessing rater reliability",
    Psychological Bulletin 86, 1979.
    """
    units, judges = scores.shape
    if units < 2 or judges < 2:
        return None, None
    mean = scores.mean()
    rows, columns = scores.mean(axis=1), scores.mean(axis=0)
    between = judges * float(((rows - mean) ** 2).sum()) / (units - 1)
    raters = units * float(((columns - mean) ** 2).sum()) / (judges - 1)
    rest = scores - rows[:, None] - columns[None, :] + mean
    error = float((rest**2).sum()) / ((units - 1) * (judges - 1))
    one = between + (judges - 1) * error + judges * (raters - error) / units
    many = between + (raters - error) / units
    if np.isclose(between, 0) and np.isclose(error, 0):
        return None, None
    return _ratio(between - error, one), _ratio(between - error, many)


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 else None
