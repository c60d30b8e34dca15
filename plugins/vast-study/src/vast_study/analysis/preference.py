"""Choices between two videos: the Bradley-Terry model, with intervals over judges.

P(left is chosen) = 1 / (1 + exp(-(s_left - s_right + side)))

with a strength s for each system, of mean 0, and an advantage ``side`` of the left side: the maximum of the likelihood,
with a normal prior of standard deviation :data:`PRIOR` on each, which keeps a system that always wins finite (our
choice).

References: R. A. Bradley and M. E. Terry, Rank analysis of incomplete block designs, 1952; R. R. Davidson and R. J.
Beaver, On extending the Bradley-Terry model to incorporate within-pair order effects, 1977.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vast_core.report import CONFIDENCE, Estimate, estimate

from ..study import LEFT, Study
from ..votes import RawVote

PRIOR = 3.0
RESAMPLES, SEED = 1000, 1
FEWEST = 3
"""Fewest judges for intervals and tests."""
_STEPS = 100

Doubles = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Strength:
    """How often a system is preferred."""

    system: str
    choices: int
    """Choices in which it took part."""
    wins: int
    strength: float
    """Log odds against a system of mean strength."""
    low: float | None
    high: float | None
    """95 % of resamples of judges; None with fewer than :data:`FEWEST`."""

    @property
    def share(self) -> float:
        """Probability, by the model, to be preferred to a system of mean strength."""
        return float(1 / (1 + np.exp(-self.strength)))


@attrs.frozen(kw_only=True)
class Pair:
    """Two systems compared directly."""

    first: str
    second: str
    choices: int
    share: Estimate
    """Share of choices for the first: each judge's share is one value, with Student's interval."""
    p: float | None
    """Paired t test of the judges' shares against a half, Holm-corrected over the pairs of a question."""

    @property
    def evident(self) -> bool:
        """Whether one of them is preferred at 5 %."""
        return self.p is not None and self.p < 1 - CONFIDENCE


@attrs.frozen(kw_only=True)
class Preference:
    """All results of one question."""

    question: str
    judges: int
    strengths: tuple[Strength, ...]
    """The best first."""
    pairs: tuple[Pair, ...]
    left: float
    """Share of all choices for the left side."""
    side: float
    """Advantage of the left side, log odds."""


def prefer(study: Study, votes: Iterable[RawVote], without: frozenset[int] = frozenset()) -> tuple[Preference, ...]:
    """The results of every question with choices, without those of some judges."""
    rated = [
        vote for vote in votes if vote.kind == "rated" and vote.judge not in without and vote.system in study.pairs
    ]
    return tuple(
        _question(study, name, own)
        for name in dict.fromkeys(vote.question for vote in rated)
        for own in [[vote for vote in rated if vote.question == name]]
    )


def _question(study: Study, name: str, votes: Sequence[RawVote]) -> Preference:
    systems = list(study.systems)
    judges = sorted({vote.judge for vote in votes})
    won = np.zeros((len(judges), len(systems), len(systems), 2))
    for vote in votes:
        left, right = sides(study.pairs, vote)
        chosen_left = vote.score == LEFT
        winner, loser = (left, right) if chosen_left else (right, left)
        at = (judges.index(vote.judge), systems.index(winner), systems.index(loser), 0 if chosen_left else 1)
        won[at] += 1
    strengths, side = bradley_terry(won.sum(0))
    bounds = _bounds(won) if len(judges) >= FEWEST else None
    wins, lost = won.sum((0, 2, 3)), won.sum((0, 1, 3))
    found = [
        Strength(
            system=system,
            choices=int(wins[k] + lost[k]),
            wins=int(wins[k]),
            strength=float(strengths[k]),
            low=None if bounds is None else float(bounds[0][k]),
            high=None if bounds is None else float(bounds[1][k]),
        )
        for k, system in enumerate(systems)
    ]
    return Preference(
        question=name,
        judges=len(judges),
        strengths=tuple(sorted(found, key=lambda own: -own.strength)),
        pairs=tuple(_pairs(systems, won.sum(-1))),
        left=float(won[..., 0].sum() / won.sum()),
        side=side,
    )


def sides(pairs: Mapping[str, tuple[str, str]], vote: RawVote) -> tuple[str, str]:
    """The systems on the left and on the right."""
    one, other = pairs[str(vote.system)]
    return (one, other) if vote.left == one else (other, one)


def bradley_terry(won: Doubles) -> tuple[Doubles, float]:
    """Strengths (K,) of mean 0 and the advantage of the left side, by Newton's method.

    ``won[i, j, 0]`` is how often i was chosen over j on the left, ``won[i, j, 1]`` on the right.
    """
    count = len(won)
    first, second = np.nonzero(~np.eye(count, dtype=bool))
    rows = np.zeros((2 * len(first), count + 1))  # one for each ordered pair and side of the winner
    places = np.arange(len(first))
    for side, sign in ((0, 1.0), (1, -1.0)):
        at = side * len(first) + places
        rows[at, first], rows[at, second], rows[at, count] = 1, -1, sign
    weights = np.concatenate([won[first, second, 0], won[first, second, 1]])
    found = np.zeros(count + 1)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-rows @ found))
        slope = rows.T @ (weights * (1 - chance)) - found / PRIOR**2
        curve = (rows * (weights * chance * (1 - chance))[:, None]).T @ rows + np.eye(count + 1) / PRIOR**2
        step = np.linalg.solve(curve, slope)
        found += step
        if np.abs(step).max() < 1e-10:
            break
    return found[:count] - found[:count].mean(), float(found[count])


def _bounds(won: Doubles) -> Doubles:
    """Low and high (2, K) of the strengths, over judges."""
    draw = np.random.default_rng(SEED)
    judges = len(won)
    found = [bradley_terry(won[draw.integers(judges, size=judges)].sum(0))[0] for _ in range(RESAMPLES)]
    tail = 50 * (1 - CONFIDENCE)
    return np.asarray(np.percentile(found, [tail, 100 - tail], axis=0))


def _pairs(systems: Sequence[str], won: Doubles) -> Iterable[Pair]:
    """Every pair, from wins (J, K, K)."""
    found = []
    for one, other in combinations(range(len(systems)), 2):
        first, second = won[:, one, other], won[:, other, one]
        there = first + second > 0
        shares = first[there] / (first + second)[there]
        p = None
        if there.sum() >= FEWEST:
            constant = np.ptp(shares) == 0
            p = float(shares[0] == 0.5) if constant else float(stats.ttest_1samp(shares, 0.5).pvalue)
            if constant and shares[0] != 0.5:
                p = float(2 * 0.5 ** len(shares))  # all for one: as by the sign test
        if there.any():
            found.append((one, other, int((first + second).sum()), estimate(shares.tolist()), p))
    corrected = _holm([p for *_, p in found])
    for (one, other, count, share, _), p in zip(found, corrected, strict=True):
        yield Pair(first=systems[one], second=systems[other], choices=count, share=share, p=p)


def _holm(values: Sequence[float | None]) -> list[float | None]:
    """Values of p, corrected for their number (Holm 1979)."""
    known = sorted((p, place) for place, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    worst = 0.0
    for rank, (p, place) in enumerate(known):
        worst = max(worst, min(1.0, p * (len(known) - rank)))
        corrected[place] = worst
    return corrected
