"""Is one system rated higher than another? A mixed model for each question, with a rank-based check."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vast_core.report import CONFIDENCE, Estimate, holm

from .mixed import Fit, fit_mixed
from .ratings import Ratings, Scores, mean_over_clips

Method = Literal["mixed model", "paired t test by judge"]


@attrs.frozen(kw_only=True)
class Pair:
    """Two systems in one question; the first has the higher mean."""

    first: str
    second: str
    difference: Estimate
    """First minus second, with an uncorrected 95 % interval; ``count`` is the number of judges who rated both."""
    p: float | None
    """None if it cannot be tested."""
    adjusted: float | None
    """p with Holm's correction over the pairs of a question."""
    effect: float | None
    """Difference divided by the standard deviation of single votes (for the same system, over judges and clips)."""
    higher: int
    """Number of judges whose mean is higher for the first system."""
    lower: int
    ranks: float | None
    """p of Wilcoxon's signed-rank test of the judges' differences, with Holm's correction."""

    @property
    def evident(self) -> bool:
        """Whether there is evidence for the difference, at the 5 % level for all pairs together."""
        return self.adjusted is not None and self.adjusted < 1 - CONFIDENCE


@attrs.frozen(kw_only=True)
class Omnibus:
    """Test of whether the systems differ at all: F test, and Friedman's rank test."""

    name: str
    f: float
    free: tuple[float, float]
    """Degrees of freedom of systems and of the error."""
    p: float
    friedman: float | None
    """p of Friedman's test over the judges who rated all systems; None with two systems or two judges."""


@attrs.frozen(kw_only=True)
class Comparison:
    """All systems in one question."""

    question: str
    method: Method
    why: str
    """Why the mixed model was not used; empty if it was."""
    components: dict[str, float]
    """Standard deviations in points of the mixed model's random effects and residual."""
    omnibus: Omnibus | None
    pairs: tuple[Pair, ...]


def compare(ratings: Ratings) -> tuple[Comparison, ...]:
    """Every question; pairs are ordered by the means of their systems. There are no pairs if there is one system."""
    return tuple(
        compare_systems(q, ratings.systems, own) for q, own in zip(ratings.questions, ratings.scores, strict=True)
    )


def compare_systems(question: str, systems: Sequence[str], scores: Scores) -> Comparison:
    """Compare the scores (J, K, N) of one question.

    The mixed model is ``score = system + judge + clip + judge x system + clip x system + rest`` with all but the system
    random, by REML; if it does not converge, the judges' means over clips are compared by paired t tests, and the
    reason is reported.
    """
    rated = [place for place in range(len(systems)) if not np.isnan(scores[:, place]).all()]
    names, scores = [systems[place] for place in rated], scores[:, rated]
    means = mean_over_clips(scores)
    fit: Fit | str = fit_mixed(scores) if len(names) > 1 else "there is one system"
    order = np.argsort(-np.array([np.nanmean(column) for column in means.T]), kind="stable").tolist() if names else []
    raw = [_pair(names, scores, fit, first, second) for first, second in itertools.combinations(order, 2)]
    raw = [
        pair for pair in raw if math.isfinite(pair.difference.mean)
    ]  # without a model, pairs that nobody rated both of are left out
    modelled = isinstance(fit, Fit)
    return Comparison(
        question=question,
        method="mixed model" if modelled else "paired t test by judge",
        why="" if isinstance(fit, Fit) else fit,
        components=dict(fit.components) if isinstance(fit, Fit) else {},
        omnibus=_omnibus(means, fit),
        pairs=tuple(_adjusted(raw)),
    )


def _pair(names: Sequence[str], scores: Scores, fit: Fit | str, first: int, second: int) -> Pair:
    both = scores[:, first] - scores[:, second]  # (J, N): NaN if either is missing
    by_judge = mean_over_clips(both)
    by_judge = by_judge[~np.isnan(by_judge)]
    if isinstance(fit, Fit):
        mean, error, free = fit.contrast(first, second)
    else:
        mean = float(by_judge.mean()) if by_judge.size else math.nan
        error = float(stats.sem(by_judge)) if by_judge.size > 1 else math.nan
        free = by_judge.size - 1
    testable = error > 1e-9
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, free)) * error if testable else math.nan
    spread = math.sqrt(np.mean([np.nanvar(scores[:, each]) for each in (first, second)]))
    return Pair(
        first=names[first],
        second=names[second],
        difference=Estimate(mean, mean - half if testable else None, mean + half if testable else None, by_judge.size),
        p=float(2 * stats.t.sf(abs(mean / error), free)) if testable else None,
        adjusted=None,
        effect=mean / spread if spread > 0 else None,
        higher=int((by_judge > 1e-9).sum()),
        lower=int((by_judge < -1e-9).sum()),
        ranks=signed_ranks(by_judge),
    )


def signed_ranks(differences: Scores) -> float | None:
    """Exact two-sided p of Wilcoxon's signed-rank test, without zero differences; None if none is left.

    Ties get their mean rank; the distribution of the sum is over all signs of the actual ranks.
    """
    differences = np.round(differences, 9)  # means of equal scores may differ in the last bit and would not tie
    differences = differences[differences != 0]
    if differences.size < 2:
        return None
    ranks = np.round(2 * stats.rankdata(np.abs(differences))).astype(int)  # integers, even with ties
    chances = np.ones(1)
    for rank in ranks.tolist():
        longer = np.zeros(chances.size + rank)
        longer[: chances.size] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    positive = int(ranks[differences > 0].sum())
    tail = min(float(chances[: positive + 1].sum()), float(chances[positive:].sum()))
    return min(1.0, 2 * tail)


def _adjusted(pairs: Sequence[Pair]) -> Iterator[Pair]:
    tested = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    ranked = iter(holm([pair.ranks for pair in pairs if pair.ranks is not None]))
    for pair in pairs:
        yield attrs.evolve(
            pair,
            adjusted=None if pair.p is None else next(tested),
            ranks=None if pair.ranks is None else next(ranked),
        )


def _omnibus(means: Scores, fit: Fit | str) -> Omnibus | None:
    """Omnibus test of the judges' means (J, K)."""
    complete = means[~np.isnan(means).any(axis=1)]
    if means.shape[1] < 2:
        return None
    if isinstance(fit, Fit):
        f, upper, lower = fit.omnibus()
        name = "Wald's F test of the mixed model"
    elif (found := repeated_measures(complete)) is not None:
        f, upper, lower = found
        name = "repeated-measures ANOVA of the judges' means"
    else:
        return None
    return Omnibus(
        name=name, f=f, free=(upper, lower), p=float(stats.f.sf(f, upper, lower)), friedman=friedman(complete)
    )


def friedman(means: Scores) -> float | None:
    """p of Friedman's test of complete means (J, K); None with fewer than three of either, or if all are equal."""
    if min(means.shape) < 3 or np.allclose(means, means[:, :1]):
        return None
    return float(stats.friedmanchisquare(*np.round(means, 9).T).pvalue)


def repeated_measures(means: Scores) -> tuple[float, int, int] | None:
    """F and its degrees of freedom for complete means (J, K); None with fewer than two of either, or no variance."""
    judges, systems = means.shape
    if judges < 2 or systems < 2:
        return None
    by_system: NDArray[np.float64] = means.mean(axis=0)
    rest = means - by_system[None, :] - means.mean(axis=1)[:, None] + means.mean()
    free = (judges - 1) * (systems - 1)
    error = float((rest**2).sum()) / free
    if error < 1e-12:
        return None
    return judges * float(((by_system - means.mean()) ** 2).sum()) / (systems - 1) / error, systems - 1, free
