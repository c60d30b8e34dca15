"""Terms on how a face moves, beside the bound; all are our choice.

A reconstruction alone regresses to the mean: lips move too little and do not close, and a style that the sound does not
explain is flattened. These terms compare what the eye compares.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..processes import count, everywhere

LEAST_VARIANCE = 1e-4
"""Added to variances of coefficients before their roots, so that the gradient at rest is finite."""


def mean_over(total: Tensor, number: Tensor) -> Tensor:
    """``total`` () / ``number`` (), both summed over all processes; 0 if there is nothing."""
    return everywhere(total) / everywhere(number).clamp_min(1 / count())


def velocity_error(found: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean square error () of the velocity of expression (B, T, E), in coefficient^2 per frame^2."""
    both = (mask[:, 1:] & mask[:, :-1])[..., None]
    error = (found.diff(dim=1) - target.diff(dim=1)) * both
    return mean_over(error.square().sum(), both.sum())


def statistics(expression: Tensor, mask: Tensor, tempo: float) -> Tensor:
    """Mean, standard deviation, and ``tempo`` times the standard deviation of the velocity, (B, 3, E), over the frames
    in ``mask``."""
    both = (mask[:, 1:] & mask[:, :-1])[..., None]
    seen = mask[..., None]
    count = seen.sum(1).clamp_min(1)
    mean = torch.where(seen, expression, 0.0).sum(1) / count
    variance = torch.where(seen, expression - mean[:, None], 0.0).square().sum(1) / count
    speed = torch.where(both, expression.diff(dim=1), 0.0).square().sum(1) / both.sum(1).clamp_min(1)
    return torch.stack([mean, (variance + LEAST_VARIANCE).sqrt(), tempo * (speed + LEAST_VARIANCE).sqrt()], dim=1)


def statistics_error(found: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Square error () of :func:`statistics` (B, 3, E), weighted by ``weight`` (E,), summed over coefficients, mean over
    the batch."""
    return ((found - wanted).square() * weight).sum((1, 2)).mean()


def face_weights(means: Tensor, lower_face: int) -> Tensor:
    """Weights (E,) with which the lower face and the rest of it count alike, although lips move much more.

    ``means`` (N, E) are the mean expressions of clips. Each of the two blocks has the weight total variance / (2 *
    variance of the block), 1 for both if they vary alike.
    """
    variance = means.var(0, correction=0)
    weight = torch.ones_like(variance)
    blocks = [block for block in (slice(0, lower_face), slice(lower_face, None)) if variance[block].sum() > 0]
    for block in blocks:
        weight[block] = variance.sum() / (len(blocks) * variance[block].sum())
    return weight


def closing_error(opening: Tensor, limit: Tensor, shut: Tensor, parted: Tensor) -> Tensor:
    """How far lips are on the wrong side of ``limit`` (B, 1), square mean () of what exceeds it.

    ``opening`` (B, T) and the limit are in one unit. In the frames ``shut`` (B, T) the lips should be below the limit,
    in those of ``parted`` (B, T) above.
    """
    excess = torch.where(shut, opening - limit, 0.0).relu() + torch.where(parted, limit - opening, 0.0).relu()
    return mean_over(excess.square().sum(), (shut | parted).sum())
