"""The networks that read a map's parameters out of the context and a part of the code itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

NEAR_IDENTITY = 0.01
"""Spread of what a new network gives, for hidden units of size one."""


def bounded(values: Tensor, bound: float) -> Tensor:
    """``values`` squeezed smoothly into (-bound, bound): bound tanh(values / bound)."""
    return bound * torch.tanh(values / bound)


class ConditionalNetwork(nn.Module):
    """Some Z' components of a code and the context to P parameters, by two hidden layers of tanh.

    What it gives is bounded by the weights of its last layer, whatever the code and the context, so that long chains
    stay well-conditioned. It starts with small parameters, so that a map made of them starts near the identity. It
    computes in the type of its weights; the caller switches autocast off.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        last = layers[-1]
        nn.init.normal_(last.weight, std=NEAR_IDENTITY / math.sqrt(last.in_features))
        nn.init.zeros_(last.bias)

    @classmethod
    def dense(cls, code: int, context: int, hidden: int, parameters: int) -> ConditionalNetwork:
        """Every parameter sees all ``code`` components."""
        widths = (context + code, hidden, hidden, parameters)
        return cls([nn.Linear(width, out) for width, out in pairwise(widths)])

    @classmethod
    def masked(cls, context: int, hidden: int, order: Sequence[int], sets: int) -> ConditionalNetwork:
        """``sets`` parameters for each component, which see the components of a lower ``order`` and all the context.

        A unit of degree d sees the components of order 0 to d - 1; so the units of degree 0, which see the context
        alone, let the very first component depend on the context, too. Parameters come set by set: (sets Z).
        """
        style = len(order)
        degrees = torch.arange(hidden) * style // hidden
        orders = torch.tensor(order)
        inputs = torch.cat([torch.zeros(context, dtype=orders.dtype), orders + 1])
        return cls(
            [
                MaskedLinear(degrees[:, None] >= inputs),
                MaskedLinear(degrees[:, None] >= degrees),
                MaskedLinear((orders[:, None] >= degrees).repeat(sets, 1)),
            ]
        )

    def forward(self, code: Tensor, context: Tensor) -> Tensor:
        """Parameters (B, P) of code (B, Z') and context (B, H), in the type of ``code``."""
        *hidden, last = self.layers
        weights = next(self.parameters()).dtype
        values = torch.cat([context.to(weights), code.to(weights)], -1)
        for layer in hidden:
            values = torch.tanh(layer(values))
        parameters: Tensor = last(values)
        return parameters.to(code.dtype)


class MaskedLinear(nn.Linear):
    """A linear layer without the connections where ``mask`` (out, in) is False.

    References:
        MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015), https://arxiv.org/abs/1502.03509
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        return functional.linear(values, self.weight * self.mask, self.bias)
