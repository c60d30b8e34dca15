"""Which systems differ: a mixed model over everything, paired tests between two, corrected by Holm.

A winner must win over judges and over clips: it is to be expected again with other judges (each judge one observation)
and with other clips (each clip one observation). Either test alone takes the other's sample for the whole world (Clark
1973, The language-as-fixed-effect fallacy).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Literal, TypeVar

import attrs
import numpy as np
from scipy import stats

from vast_core.statistics import CONFIDENCE, Estimate, estimate, holm

from ..votes import RawVote
from .scores import means

K = TypeVar("K", bound=Hashable)

Verdict = Literal["higher", "lower", "no evidence", "not tested"]


@attrs.frozen(kw_only=True)
class Pair:
    """Two systems in one question."""

    question: str
    first: str
    second: str
    difference: Estimate
    """Of the judges' means, first minus second."""
    effect: float | None
    """Cohen's d of paired samples over judges: mean over standard deviation of the differences."""
    p_judges: float | None
    """Student's paired t test over judges, after Holm's correction over the pairs of a question."""
    p_clips: float | None
    """Likewise over clips."""
    p_ranks: float | None
    """Wilcoxon's signed ranks over judges, likewise corrected: what is left if scores are but an order."""
    verdict: Verdict
    """``higher`` or ``lower`` (the first than the second) only where both t tests say so."""


@attrs.frozen(kw_only=True)
class Overall:
    """Whether the systems differ at all in one question."""

    question: str
    method: str
    """In words; which one depends on what the votes allow."""
    statistic: str
    p: float
    ranks: float | None
    """p of Friedman's test on the judges' means."""


def compare_pairs(votes: Sequence[RawVote], systems: Sequence[str], question: str) -> list[Pair]:
    """Every two of ``systems`` in ``question``, in the order given."""
    own = [vote for vote in votes if vote.kind == "rated" and vote.question == question]
    by_judge = {name: means((v.judge, v.score) for v in own if v.system == name) for name in systems}
    by_clip = {name: means((v.clip, v.score) for v in own if v.system == name) for name in systems}
    pairs = [(a, b) for a, b in combinations(systems, 2) if by_judge[a].keys() & by_judge[b].keys()]
    judged = [_differences(by_judge[a], by_judge[b]) for a, b in pairs]
    over_judges = _corrected([_paired(values) for values in judged])
    over_clips = _corrected([_paired(_differences(by_clip[a], by_clip[b])) for a, b in pairs])
    over_ranks = _corrected([_signed_ranks(values) for values in judged])
    return [
        Pair(
            question=question,
            first=a,
            second=b,
            difference=(found := estimate(values)),
            effect=_effect(values),
            p_judges=p,
            p_clips=q,
            p_ranks=r,
            verdict=_verdict(found.mean, p, q),
        )
        for (a, b), values, p, q, r in zip(pairs, judged, over_judges, over_clips, over_ranks, strict=True)
    ]


def compare_all(votes: Sequence[RawVote], question: str) -> Overall | None:
    """Whether systems differ: a linear mixed model, or where it does not converge an ANOVA of repeated measures.

    The model has the system for a fixed effect, and crossed random intercepts of judges and clips; fitted by maximum
    likelihood with and without the system, it gives a likelihood ratio. None below two systems, judges or clips.
    """
    own = [vote for vote in votes if vote.kind == "rated" and vote.question == question]
    sizes = [len({getattr(vote, name) for vote in own}) for name in ("system", "judge", "clip")]
    if min(sizes, default=0) < 2 or len({vote.score for vote in own}) < 2:
        return None
    friedman = _friedman(own)
    ratio = _likelihood_ratio(own)
    if ratio is not None:
        freedom = sizes[0] - 1
        return Overall(
            question=question,
            method="linear mixed model, system fixed, judges and clips random; likelihood ratio",
            statistic=f"χ²({freedom}) = {ratio:.1f}",
            p=float(stats.chi2.sf(ratio, freedom)),
            ranks=friedman,
        )
    return _anova(own, question, friedman)


def _likelihood_ratio(votes: Sequence[RawVote]) -> float | None:
    """2 (ln L with the system - ln L without), by maximum likelihood; None where a fit fails."""
    import pandas
    from statsmodels.regression.mixed_linear_model import MixedLM

    table = pandas.DataFrame(
        {
            "score": [float(vote.score) for vote in votes],
            "system": [vote.system for vote in votes],
            "judge": [str(vote.judge) for vote in votes],
            "clip": [vote.clip for vote in votes],
            "all": 1,
        }
    )
    crossed = {"judge": "0 + C(judge)", "clip": "0 + C(clip)"}
    likelihoods = []
    for formula in ("score ~ C(system)", "score ~ 1"):
        with warnings.catch_warnings():
            # a variance at zero is no failure here, and is what most warnings are about
            warnings.simplefilter("ignore")
            try:
                model = MixedLM.from_formula(formula, table, groups="all", vc_formula=crossed, re_formula="0")
                fit = model.fit(reml=False, method=["lbfgs", "powell"])
            except (ValueError, np.linalg.LinAlgError):
                return None
        if not (fit.converged and math.isfinite(fit.llf)):
            return None
        likelihoods.append(float(fit.llf))
    return max(0.0, 2 * (likelihoods[0] - likelihoods[1]))


def _anova(votes: Sequence[RawVote], question: str, friedman: float | None) -> Overall | None:
    """Of repeated measures, on the means of those judges who rated every system."""
    table = _by_judge(votes)
    if table.shape[0] < 2:
        return None
    n, k = table.shape
    rows, columns, grand = table.mean(1, keepdims=True), table.mean(0), table.mean()
    effect = n * ((columns - grand) ** 2).sum() / (k - 1)
    error = ((table - rows - columns + grand) ** 2).sum() / ((n - 1) * (k - 1))
    if error == 0:
        return None
    freedom = k - 1, (n - 1) * (k - 1)
    return Overall(
        question=question,
        method="ANOVA of repeated measures on the judges' means, as the mixed model did not converge",
        statistic=f"F({freedom[0]}, {freedom[1]}) = {effect / error:.1f}",
        p=float(stats.f.sf(effect / error, *freedom)),
        ranks=friedman,
    )


def _friedman(votes: Sequence[RawVote]) -> float | None:
    table = _by_judge(votes)
    if table.shape[0] < 2 or table.shape[1] < 3:
        return None
    p = float(stats.friedmanchisquare(*table.T).pvalue)
    return p if math.isfinite(p) else None


def _by_judge(votes: Sequence[RawVote]) -> np.ndarray:
    """Means (judges, systems) of those who rated every system."""
    found = means(((vote.judge, vote.system), vote.score) for vote in votes)
    systems = sorted({vote.system for vote in votes if vote.system is not None})
    whole = [judge for judge in {vote.judge for vote in votes} if all((judge, name) in found for name in systems)]
    return np.array([[found[judge, name] for name in systems] for judge in sorted(whole)]).reshape(-1, len(systems))


def _differences(one: Mapping[K, float], other: Mapping[K, float]) -> list[float]:
    return [one[key] - other[key] for key in one if key in other]


def _paired(differences: Sequence[float]) -> float | None:
    """Two-sided p of a one-sample t test; 1 where all are 0, None for fewer than two or all one other number."""
    if len(differences) < 2:
        return None
    if not any(differences):
        return 1.0
    if np.ptp(differences) < 1e-9:
        return None
    return float(stats.ttest_1samp(differences, 0).pvalue)


def _signed_ranks(differences: Sequence[float]) -> float | None:
    moved = [value for value in differences if abs(value) > 1e-9]
    if len(differences) < 2:
        return None
    # means tie, and the exact distribution with ties would be had by permutation, a second a pair
    return float(stats.wilcoxon(moved, method="asymptotic").pvalue) if moved else 1.0


def _corrected(p: Sequence[float | None]) -> list[float | None]:
    adjusted = iter(holm([value for value in p if value is not None]))
    return [None if value is None else next(adjusted) for value in p]


def _effect(differences: Sequence[float]) -> float | None:
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    return float(np.mean(differences)) / spread if spread > 1e-9 else None


def _verdict(difference: float, p: float | None, q: float | None) -> Verdict:
    if p is None or q is None:
        return "not tested"
    if max(p, q) >= 1 - CONFIDENCE:
        return "no evidence"
    return "higher" if difference > 0 else "lower"
