"""The linear mixed model of one question, by restricted maximum likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from .ratings import Scores

Matrix = NDArray[np.float64]

EMPTY = 1e-6
"""Ratio of a random effect's variance to the residual variance below which the effect is reported as zero."""

_NOTHING = 1e-9
"""Share of the scores' variance below which no residual is left."""


@attrs.frozen(eq=False, kw_only=True)
class Fit:
    """A fitted model; systems are numbered as in the scores."""

    means: Matrix
    """(K,) fixed effects, the level of each system."""
    covariance: Matrix
    """(K, K) covariance of the fixed effects."""
    free: float
    """Degrees of freedom of tests between systems."""
    components: tuple[tuple[str, float], ...]
    """Standard deviations of the nonzero random effects, and of the residual."""
    likelihood: float
    """Logarithm of the restricted likelihood."""

    def contrast(self, first: int, second: int) -> tuple[float, float, float]:
        """First minus second, its standard error, and the degrees of freedom."""
        variance = self.covariance[first, first] + self.covariance[second, second] - 2 * self.covariance[first, second]
        return float(self.means[first] - self.means[second]), math.sqrt(max(0.0, float(variance))), self.free

    def omnibus(self) -> tuple[float, float, float]:
        """F statistic for equality of all systems, with its degrees of freedom."""
        across = np.eye(len(self.means))[1:] - np.eye(len(self.means))[:1]
        away = across @ self.means
        wald = away @ np.linalg.solve(across @ self.covariance @ across.T, away)
        return float(wald) / len(away), len(away), self.free


def fit_mixed(scores: Scores) -> Fit | str:
    """``score = system + judge + clip + judge x system + clip x system + rest`` of scores (J, K, N), by REML.

    All but the system are random. Without judge x system and clip x system, the tests would treat the votes of one
    judge for one system as independent, and find differences that belong to a few judges or clips. Degrees of freedom
    are by containment, ``min(J - 1, N - 1) (K - 1)``, the smallest among the effects that contain the system, even if
    the estimated variance of such an effect is zero.

    Returns the reason, in words, if the model cannot be fitted.
    """
    place = np.nonzero(~np.isnan(scores))
    judge, system, clip = place
    judges, systems, clips = (np.unique(each).size for each in place)
    if min(judges, systems, clips) < 2:
        few = "judge" if judges < 2 else "system" if systems < 2 else "clip"
        return f"a mixed model needs more than one {few}"
    if np.ptp(scores[place]) == 0:
        return "all votes are the same"
    width = scores.shape[1]
    effects = {
        "judge": _indicators(judge),
        "clip": _indicators(clip),
        "judge × system": _indicators(judge * width + system),
        "clip × system": _indicators(clip * width + system),
    }
    # an effect with as many levels as votes is the residual itself
    effects = {name: columns for name, columns in effects.items() if columns.shape[1] < len(judge)}
    criterion = _Criterion.of(scores[place], np.eye(width)[system], effects)
    try:
        found = optimize.minimize(
            criterion.deviance, np.full(len(effects), 0.25), method="L-BFGS-B", bounds=[(0, None)] * len(effects)
        )
        means, covariance, rest = criterion.solution(found.x)
    except linalg.LinAlgError as error:
        return f"the mixed model could not be fitted ({error})"
    if not found.success or not np.isfinite(covariance).all():
        return f"the mixed model did not converge ({found.message})"
    kept = {name: float(ratio) for name, ratio in zip(effects, found.x, strict=True) if ratio > EMPTY}
    if rest <= 2 * _NOTHING * criterion.yy:
        return "the mixed model has no residual variance for testing differences"
    deviation = math.sqrt(rest)
    return Fit(
        means=means + criterion.shift,
        covariance=covariance,
        free=(min(judges, clips) - 1) * (systems - 1),
        components=(*((name, math.sqrt(ratio) * deviation) for name, ratio in kept.items()), ("rest", deviation)),
        likelihood=-float(found.fun) / 2,
    )


def _indicators(levels: NDArray[np.intp]) -> Matrix:
    """(votes, levels that occur), 1 if the vote is of the level."""
    found, number = np.unique(levels, return_inverse=True)
    return np.eye(found.size)[number]


@attrs.frozen(eq=False, kw_only=True)
class _Criterion:
    """The profiled restricted likelihood of ``y = X b + Z u + e``, from products of ``X``, ``Z`` and ``y`` alone.

    Reference: D. Bates, M. Mächler, B. Bolker, S. Walker, "Fitting linear mixed-effects models using lme4", Journal of
    Statistical Software 67, 2015, sections 3.3 to 3.5.
    """

    shift: float
    """Subtracted from ``y`` in advance, against cancellation."""
    votes: int
    owner: NDArray[np.intp]
    """For each column of Z, the number of its effect."""
    zz: Matrix
    zx: Matrix
    xx: Matrix
    zy: Matrix
    xy: Matrix
    yy: float

    @classmethod
    def of(cls, scores: Matrix, fixed: Matrix, effects: Mapping[str, Matrix]) -> _Criterion:
        shift = float(scores.mean())
        away = scores - shift
        z = np.concatenate(list(effects.values()), axis=1)
        return cls(
            shift=shift,
            votes=len(scores),
            owner=np.repeat(np.arange(len(effects)), [columns.shape[1] for columns in effects.values()]),
            zz=z.T @ z,
            zx=z.T @ fixed,
            xx=fixed.T @ fixed,
            zy=z.T @ away,
            xy=fixed.T @ away,
            yy=float(away @ away),
        )

    def deviance(self, ratios: Matrix) -> float:
        """-2 log of the restricted likelihood, as a function of the ratios of the effects' variances to the residual
        variance.

        Ratios of variances instead of standard deviations, whose slope at zero is zero, so that a search would stay
        there.
        """
        factor, upper, _, rest = self._solve(ratios)
        free = self.votes - len(self.xx)
        determinants = 2 * float(np.log(np.diag(factor)).sum()) + 2 * float(np.log(np.diag(upper)).sum())
        return determinants + free * (1 + math.log(2 * math.pi * rest / free))

    def solution(self, ratios: Matrix) -> tuple[Matrix, Matrix, float]:
        """Fixed effects, their covariance, and the residual variance."""
        _, upper, scaled, rest = self._solve(ratios)
        variance = rest / (self.votes - len(self.xx))
        inverse = linalg.solve_triangular(upper, np.eye(len(upper)), lower=True)
        return inverse.T @ scaled, variance * (inverse.T @ inverse), variance

    def _solve(self, ratios: Matrix) -> tuple[Matrix, Matrix, Matrix, float]:
        scale = np.sqrt(ratios)[self.owner]
        factor = linalg.cholesky(np.eye(len(scale)) + scale[:, None] * self.zz * scale, lower=True)
        across = linalg.solve_triangular(factor, scale[:, None] * self.zx, lower=True)
        away = linalg.solve_triangular(factor, scale * self.zy, lower=True)
        lower = linalg.cholesky(self.xx - across.T @ across, lower=True)
        scaled = linalg.solve_triangular(lower, self.xy - across.T @ away, lower=True)
        rest = self.yy - float(away @ away) - float(scaled @ scaled)
        return factor, lower, scaled, max(_NOTHING * self.yy, rest)  # so that the logarithm exists
