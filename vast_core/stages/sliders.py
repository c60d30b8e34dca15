"""Learn what the factors of a corpus's styles do to the style code, at the end of the style stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runs.store import PreparedClip
from ..speak.sliders import Factor, Sliders
from .context import StageContext

Floats = NDArray[np.float64]

PENALTIES = tuple(float(penalty) for penalty in 10.0 ** np.arange(-4, 0.5, 0.5))
"""Candidate penalties of the ridge regression, relative to the number of styles."""

SHRINKAGE = 0.1
"""Share of the mean variance added to the variance of every dimension of the code, because a covariance of few styles
is nearly singular (our choice)."""


def factors_of(context: StageContext) -> dict[str, Mapping[str, float]]:
    """The factors of the corpus's clips that have some, by the clip's name."""
    return {clip.name: dict(clip.factors) for clip in context.pipeline.corpus.clips() if clip.factors}


def learn_sliders(context: StageContext, model: str, code_of: Callable[[PreparedClip], Tensor]) -> Sliders | None:
    """The map from factors to codes, from the training clips that have factors.

    ``model`` is the digest of the style weights, and ``code_of`` gives the code (1, Z) of a clip by them.
    Only factors count that all of these clips have, and that vary. None if there are not at least two styles more than
    factors, since their effects could not be told apart.
    """
    known = factors_of(context)
    clips = [clip for clip in context.store.of("train") if clip.source in known]
    names = [
        name
        for name in (known[clips[0].source] if clips else ())
        if all(name in known[clip.source] for clip in clips) and len({known[clip.source][name] for clip in clips}) > 1
    ]
    by_style: dict[tuple[float, ...], list[PreparedClip]] = {}
    for clip in clips:
        by_style.setdefault(tuple(known[clip.source][name] for name in names), []).append(clip)
    if not names or len(by_style) < len(names) + 2:
        return None
    codes = [torch.cat([code_of(clip) for clip in own]).mean(0) for own in by_style.values()]
    values = np.array(list(by_style))
    low, high = values.min(0), values.max(0)
    origin, directions, r2 = fit(2 * (values - low) / (high - low) - 1, torch.stack(codes).double().cpu().numpy())
    return Sliders(
        model=model,
        styles=len(by_style),
        learned={name: Factor(low=float(low[i]), high=float(high[i]), r2=float(r2[i])) for i, name in enumerate(names)},
        origin=torch.from_numpy(origin).float(),
        directions=torch.from_numpy(directions).float(),
    )


def fit(factors: Floats, codes: Floats) -> tuple[Floats, Floats, Floats]:
    """c0 (Z,) and d (F, Z) of codes (N, Z) = c0 + factors (N, F) d, and the R2 (F,) of each factor.

    Ridge regression on all factors jointly, so that factors that happen to go together in these styles are told apart.
    The penalty is the one with the smallest error of codes when each style is left out in turn. R2 is that of the
    factors read from the codes of styles left out.
    """
    others = [np.arange(len(codes)) != row for row in range(len(codes))]
    errors = []
    for penalty in PENALTIES:
        maps = [_ridge(factors[rest], codes[rest], penalty) for rest in others]
        errors.append(sum(_squares(codes[i] - c0 - factors[i] @ d) for i, (c0, d) in enumerate(maps)))
    penalty = PENALTIES[int(np.argmin(errors))]
    told = np.stack([_read(codes[i], factors[rest], codes[rest], penalty) for i, rest in enumerate(others)])
    r2 = 1 - np.square(factors - told).sum(0) / np.square(factors - factors.mean(0)).sum(0)
    origin, directions = _ridge(factors, codes, penalty)
    return origin, directions, r2


def _squares(error: Floats) -> float:
    return float(np.square(error).sum())


def _ridge(factors: Floats, codes: Floats, penalty: float) -> tuple[Floats, Floats]:
    """argmin over c0, d of |codes - c0 - factors d|^2 + penalty N |d|^2."""
    centre, mean = factors.mean(0), codes.mean(0)
    x = factors - centre
    directions = np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ (codes - mean))
    return mean - centre @ directions, directions


def _read(code: Floats, factors: Floats, codes: Floats, penalty: float) -> Floats:
    """Factors (F,) of a ``code`` (Z,) by the map that is fitted to other styles.

    The posterior mean for Gaussian errors of the map, and a prior with the variance 1/3 of a uniform factor.
    """
    origin, directions = _ridge(factors, codes, penalty)
    error = codes - origin - factors @ directions
    covariance = error.T @ error / len(error)
    covariance += (SHRINKAGE * np.trace(covariance) / len(covariance) + 1e-9) * np.eye(len(covariance))
    precise = np.linalg.solve(covariance, directions.T)
    found: Floats = (code - origin) @ precise @ np.linalg.inv(directions @ precise + 3 * np.eye(len(directions)))
    return found
