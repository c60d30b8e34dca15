"""How far judges agree: Krippendorff's alpha and the intraclass correlation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from ..votes import RawVote

Level = Literal["interval", "ordinal"]


@attrs.frozen(kw_only=True)
class Agreement:
    """Of the judges in one question; NaN where there is too little to tell."""

    question: str
    alpha: float
    """Krippendorff's alpha for ordinal data: 1 is full agreement, 0 what chance gives."""
    one_judge: float
    """ICC(2,1): how far one judge's scores can be relied on."""
    all_judges: float
    """ICC(2,k): how far the mean of all judges can be."""
    judges: int
    """Of those who rated every presentation that all of them did; the correlations rest on these."""
    presentations: int


def agreement(votes: Sequence[RawVote], questions: Sequence[str]) -> list[Agreement]:
    """Of rated clips, question by question."""
    found = []
    for question in questions:
        table = _table([vote for vote in votes if vote.kind == "rated" and vote.question == question])
        complete = _complete(table)
        one, several = intraclass_correlation(complete)
        found.append(
            Agreement(
                question=question,
                alpha=krippendorff_alpha(table, "ordinal"),
                one_judge=one,
                all_judges=several,
                judges=complete.shape[1],
                presentations=complete.shape[0],
            )
        )
    return found


def krippendorff_alpha(table: NDArray[np.float64], level: Level = "interval") -> float:
    """alpha = 1 - D_observed / D_expected of scores (presentations, judges), NaN where one is missing.

    D is the mean difference of pairs of scores, within a presentation and over all pairable scores: (a - b)^2 on the
    interval level, and on the ordinal one (sum_(g = a)^b n_g - (n_a + n_b) / 2)^2 with n_g scores of value g
    (Krippendorff 2011, Computing Krippendorff's alpha-reliability). NaN where no two judges have rated a presentation,
    or all scores are equal.
    """
    rows = [row[~np.isnan(row)] for row in table]
    rows = [row for row in rows if len(row) >= 2]
    if not rows:
        return math.nan
    values, places = np.unique(np.concatenate(rows), return_inverse=True)
    coincidences = np.zeros((len(values), len(values)))
    start = 0
    for row in rows:
        counts = np.bincount(places[start : start + len(row)], minlength=len(values))
        start += len(row)
        coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(row) - 1)
    totals = coincidences.sum(1)
    difference = _DIFFERENCES[level](values, totals)
    expected = ((np.outer(totals, totals) - np.diag(totals)) * difference).sum() / (totals.sum() - 1)
    return float(1 - (coincidences * difference).sum() / expected) if expected > 0 else math.nan


def _interval(values: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    squared: NDArray[np.float64] = (values[:, None] - values) ** 2
    return squared


def _ordinal(values: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    # ranks with ties: the distance of two values' middle ranks
    middle = totals.cumsum() - totals / 2
    squared: NDArray[np.float64] = (middle[:, None] - middle) ** 2
    return squared


_DIFFERENCES: Mapping[Level, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]] = {
    "interval": _interval,
    "ordinal": _ordinal,
}


def intraclass_correlation(table: NDArray[np.float64]) -> tuple[float, float]:
    """ICC(2,1) and ICC(2,k) of scores (n presentations, k judges), none missing (Shrout & Fleiss 1979).

    ICC(2,1) = (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n),  ICC(2,k) = (BMS - EMS) / (BMS + (JMS - EMS) / n)

    with the mean squares between presentations (BMS), between judges (JMS) and of the residual (EMS). NaN for fewer
    than two of either, or where all scores are equal.
    """
    if min(table.shape) < 2 or np.ptp(table) == 0:
        return math.nan, math.nan
    n, k = table.shape
    grand, rows, columns = table.mean(), table.mean(1), table.mean(0)
    between = k * ((rows - grand) ** 2).sum() / (n - 1)
    judges = n * ((columns - grand) ** 2).sum() / (k - 1)
    error = ((table - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (k - 1))
    shared = (judges - error) / n
    one = (between - error) / (between + (k - 1) * error + k * shared)
    return float(one), float((between - error) / (between + shared))


def _table(votes: Sequence[RawVote]) -> NDArray[np.float64]:
    """Scores (presentations, judges), NaN where one is missing."""
    shown = {place: row for row, place in enumerate(dict.fromkeys((vote.system, vote.clip) for vote in votes))}
    judges = {judge: column for column, judge in enumerate(sorted({vote.judge for vote in votes}))}
    table = np.full((len(shown), len(judges)), np.nan)
    for vote in votes:
        table[shown[vote.system, vote.clip], judges[vote.judge]] = vote.score
    return table


def _complete(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the judges who miss something that others have, one after another as long as much is missing."""
    while table.size and np.isnan(table).any():
        missing = np.isnan(table)
        # whichever gives up fewer scores: the presentation that most judges miss, or the judge who misses most
        row, column = missing.sum(1).argmax(), missing.sum(0).argmax()
        if missing[row].mean() >= missing[:, column].mean():
            table = np.delete(table, row, 0)
        else:
            table = np.delete(table, column, 1)
    return table
