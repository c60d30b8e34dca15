"""Root finding by bisection for the inverses of planar and Sylvester maps."""

from __future__ import annotations

import torch
from torch import Tensor

HALVINGS = 64
"""Bisection steps; the bracket is then narrower than the resolution of float64."""


@torch.no_grad()
def root(slope: Tensor, steepness: Tensor | float, shift: Tensor, target: Tensor) -> Tensor:
    """The a (B,) at which a + slope tanh(steepness a + shift), increasing in a, equals ``target``; all (B,)."""
    low, high = target - slope.abs(), target + slope.abs()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = middle + slope * torch.tanh(steepness * middle + shift) > target
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    return (low + high) / 2
