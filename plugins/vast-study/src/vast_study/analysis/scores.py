"""Mean opinion scores, with three intervals each: over judges, over votes, over judges and clips."""

from __future__ import annotations

import math
from typing import Literal

import attrs
import numpy as np
from scipy import stats

from vast_core.report import CONFIDENCE, Estimate, estimate

from .ratings import Ratings, Scores, mean_over_clips

Unit = Literal["judges", "votes", "judges and clips"]


@attrs.frozen(kw_only=True)
class Mos:
    """Score of one system in one question."""

    question: str
    system: str
    judges: int
    votes: int
    score: Estimate
    """Over judges, the main score: each judge's mean over clips is one value. Its interval is for other judges of the
    same clips."""
    over_votes: Estimate
    """As if every vote came from a different judge: too narrow, because votes of one judge are correlated. Given
    because much of the literature does so."""
    over_both: Estimate | None
    """For other judges and other clips; None if a vote is missing, or with one judge or clip."""
    counts: tuple[int, int, int, int, int]
    """Number of votes of 1 to 5."""


def mean_scores(ratings: Ratings) -> tuple[Mos, ...]:
    """Every question and system with at least one vote."""
    return tuple(
        _mos(question, system, ratings.scores[q, :, k])
        for q, question in enumerate(ratings.questions)
        for k, system in enumerate(ratings.systems)
        if not np.isnan(ratings.scores[q, :, k]).all()
    )


def _mos(question: str, system: str, scores: Scores) -> Mos:
    """Score from votes (J, N)."""
    votes = scores[~np.isnan(scores)]
    means = mean_over_clips(scores)
    means = means[~np.isnan(means)]
    one, two, three, four, five = (int(np.count_nonzero(votes == score)) for score in range(1, 6))
    return Mos(
        question=question,
        system=system,
        judges=means.size,
        votes=votes.size,
        score=estimate(means.tolist()),
        over_votes=estimate(votes.tolist()),
        over_both=two_way(scores[~np.isnan(scores).all(axis=1)]),
        counts=(one, two, three, four, five),
    )


def two_way(scores: Scores) -> Estimate | None:
    """Mean and 95 % interval of scores (J, N) for a random sample of judges and clips; None if it does not exist.

    With mean squares of judges, clips and residual, the variance of the mean is estimated by
    ``max(MS_J + MS_N - MS_JN, MS_J, MS_N) / JN``, because no variance component is negative; degrees of freedom by
    Satterthwaite.

    References: J. Cornfield and J. W. Tukey, "Average values of mean squares in factorials", Annals of Mathematical
    Statistics 27, 1956; F. E. Satterthwaite, "An approximate distribution of estimates of variance components",
    Biometrics Bulletin 2, 1946.
    """
    judges, clips = scores.shape
    if judges < 2 or clips < 2 or np.isnan(scores).any():
        return None
    mean = float(scores.mean())
    by_judge, by_clip = scores.mean(axis=1), scores.mean(axis=0)
    rest = scores - by_judge[:, None] - by_clip[None, :] + mean
    rows = clips * float(((by_judge - mean) ** 2).sum()) / (judges - 1)
    columns = judges * float(((by_clip - mean) ** 2).sum()) / (clips - 1)
    free = (judges - 1) * (clips - 1)
    error = float((rest**2).sum()) / free
    spread = rows**2 / (judges - 1), columns**2 / (clips - 1), error**2 / free
    square, fourth = max(
        (rows + columns - error, sum(spread)), (rows, spread[0]), (columns, spread[1]), key=lambda found: found[0]
    )
    if square <= 0:  # all scores are equal
        return Estimate(mean, mean, mean, judges * clips)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, square**2 / fourth)) * math.sqrt(square / (judges * clips))
    return Estimate(mean, mean - half, mean + half, judges * clips)
