"""The root that the inverse of a bent map needs, found by halving."""

from __future__ import annotations

import torch
from torch import Tensor

HALVINGS = 64
"""Steps; the bracket is then narrower than float64 can tell."""


@torch.no_grad()
def root(slope: Tensor, steepness: Tensor | float, shift: Tensor, target: Tensor) -> Tensor:
    """The a (B,) at which a + slope tanh(steepness a + shift), which must grow with a, is ``target``; all (B,)."""
    low, high = target - slope.abs(), target + slope.abs()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = middle + slope * torch.tanh(steepness * middle + shift) > target
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    return (low + high) / 2
