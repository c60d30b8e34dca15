"""The linear mixed model of one question, fitted by statsmodels."""

from __future__ import annotations

import math
import warnings
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from .ratings import Scores

EMPTY = 1e-3
"""Share of the residual's variance below which a random effect is taken for none, and left out."""

LARGEST = 12_000
"""Votes of one question beyond which it is not fitted: the time grows with their number times that of the effects."""


@attrs.frozen(eq=False, kw_only=True)
class Fit:
    """A fitted model; systems are numbered as in the scores."""

    means: NDArray[np.float64]
    """(K,) of the fixed effects, each system's own level."""
    covariance: NDArray[np.float64]
    """(K, K) of these."""
    free: float
    """Degrees of freedom of tests between systems."""
    components: tuple[tuple[str, float], ...]
    """Standard deviations of the random effects that were kept, and of the rest."""

    def contrast(self, first: int, second: int) -> tuple[float, float, float]:
        """First minus second, its standard error, and the degrees of freedom."""
        variance = self.covariance[first, first] + self.covariance[second, second] - 2 * self.covariance[first, second]
        return float(self.means[first] - self.means[second]), math.sqrt(max(0.0, float(variance))), self.free

    def omnibus(self) -> tuple[float, float, float]:
        """F that all systems are alike, with its degrees of freedom."""
        across = np.eye(len(self.means))[1:] - np.eye(len(self.means))[:1]
        away = across @ self.means
        wald = away @ np.linalg.solve(across @ self.covariance @ across.T, away)
        return float(wald) / len(away), len(away), self.free


def fit_mixed(scores: Scores) -> Fit | str:
    """``score = system + judge + clip + judge x system + clip x system + rest`` of scores (J, K, N), by REML.

    All but the system are random. Without judge x system and clip x system the tests would take the votes of one judge
    on one system for independent, and find differences that are those of a few judges or clips. A random effect whose
    variance is estimated as nought is left out, which changes no estimate. Degrees of freedom of tests are those of
    containment: the fewest among the effects that contain the system, (J - 1)(K - 1) and (N - 1)(K - 1); those of the
    rest where neither is left.

    Gives the reason, in words, where it cannot be fitted.
    """
    place = np.nonzero(~np.isnan(scores))
    judge, system, clip = place
    counts = [np.unique(each).size for each in place]
    if min(counts) < 2:
        few = [name for name, count in zip(("judge", "system", "clip"), counts, strict=True) if count < 2]
        return f"a mixed model needs more than one {few[0]}"
    if len(judge) > LARGEST:
        return f"a mixed model of {len(judge):,} votes would take too long"
    if np.ptp(scores[place]) == 0:
        return "all votes are the same"
    systems = scores.shape[1]
    effects = {
        "judge": _indicators(judge),
        "clip": _indicators(clip),
        "judge × system": _indicators(judge * systems + system),
        "clip × system": _indicators(clip * systems + system),
    }
    free = {"judge × system": (counts[0] - 1) * (counts[1] - 1), "clip × system": (counts[2] - 1) * (counts[1] - 1)}
    # an effect with as many levels as votes is the residual itself
    effects = {name: columns for name, columns in effects.items() if columns.shape[1] < len(judge)}
    fixed = np.eye(systems)[system]
    while True:
        try:
            result = _fit(scores[place], fixed, effects)
        except (np.linalg.LinAlgError, ValueError, OverflowError) as error:
            return f"the mixed model could not be fitted ({error})"
        variances = dict(zip(effects, np.asarray(result.vcomp).tolist(), strict=True)) if effects else {}
        empty = {name for name, variance in variances.items() if not variance > EMPTY * result.scale}
        if not empty:
            break
        smallest = min(empty, key=lambda name: variances[name])
        effects = {name: columns for name, columns in effects.items() if name != smallest}
        if not effects:
            return "the mixed model found neither judges nor clips to differ"
    covariance = np.asarray(result.cov_params())[:systems, :systems]
    if not result.converged or not np.isfinite(covariance).all():
        return "the mixed model did not converge"
    kept = [free[name] for name in effects if name in free]
    return Fit(
        means=np.asarray(result.fe_params),
        covariance=covariance,
        free=min(kept) if kept else len(judge) - sum(columns.shape[1] for columns in effects.values()) - systems + 1,
        components=(*((name, math.sqrt(variances[name])) for name in effects), ("rest", math.sqrt(result.scale))),
    )


def _indicators(levels: NDArray[np.intp]) -> NDArray[np.float64]:
    """(votes, levels that occur), 1 where the vote is of the level."""
    found, number = np.unique(levels, return_inverse=True)
    return np.eye(found.size)[number]


def _fit(endog: Scores, fixed: NDArray[np.float64], effects: dict[str, NDArray[np.float64]]) -> Any:
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    names = list(effects)
    columns = [[f"{name} {level}" for level in range(effects[name].shape[1])] for name in names]
    spec = VCSpec(names, [[column] for column in columns], [[effects[name]] for name in names])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optimisers tried in turn; what counts is whether the last one converged
        model = MixedLM(endog, fixed, np.zeros(len(endog), int), exog_vc=spec)
        return model.fit(reml=True, method=["lbfgs", "powell"])
