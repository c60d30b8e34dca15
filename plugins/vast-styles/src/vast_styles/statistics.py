"""Masked statistics over time: a speaking style is, first of all, an offset and an amplitude."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-5
"""Added to a variance before its logarithm, so that a still face has a deviation of 0.003."""


def mean_and_log_deviation(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and ln of the standard deviation (B, C) of x (B, T, C) over the frames that ``mask`` (B, T) keeps."""
    weight = _weight(mask, x)
    mean = (x * weight).sum(1)
    variance = ((x - mean[:, None]).square() * weight).sum(1)
    return mean, 0.5 * (variance + FLOOR).log()


def regression(x: Tensor, y: Tensor, mask: Tensor, ridge: float) -> Tensor:
    """Slope (B, C) of x on y, cov(x, y) / (var(y) + ridge), both (B, T, C), over the frames that ``mask`` keeps."""
    weight = _weight(mask, x)
    x = x - (x * weight).sum(1, keepdim=True)
    y = y - (y * weight).sum(1, keepdim=True)
    return (x * y * weight).sum(1) / ((y.square() * weight).sum(1) + ridge)


def velocity(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """x(t) - x(t - 1) (B, T, C), zero where either frame is masked, and a mask (B, T) of where it is known."""
    known = torch.zeros_like(mask)
    known[:, 1:] = mask[:, 1:] & mask[:, :-1]
    change = torch.zeros_like(x)
    change[:, 1:] = x[:, 1:] - x[:, :-1]
    return change * known[..., None], known


def _weight(mask: Tensor, like: Tensor) -> Tensor:
    weight = mask.to(like.dtype)[..., None]
    return weight / weight.sum(1, keepdim=True).clamp_min(1)
