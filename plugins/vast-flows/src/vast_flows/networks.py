"""Networks that compute the parameters of a map from the context and a part of the code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

NEAR_IDENTITY = 0.01
"""Scale of the outputs of a new network, for hidden units of size one."""


def bounded(values: Tensor, bound: float) -> Tensor:
    """``values`` smoothly limited to (-bound, bound): bound tanh(values / bound)."""
    return bound * torch.tanh(values / bound)


class ConditionalNetwork(nn.Module):
    """Maps Z' components of a code and the context to P parameters, with two hidden layers of tanh.

    The outputs are bounded by the weights of the last layer, whatever the code and the context, so that long chains
    stay well-conditioned. Initial parameters are small, so that a map made of them starts near the identity. It
    computes in the type of its weights; the caller disables autocast.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        last = layers[-1]
        nn.init.normal_(last.weight, std=NEAR_IDENTITY / math.sqrt(last.in_features))
        nn.init.zeros_(last.bias)

    @classmethod
    def dense(cls, code: int, context: int, hidden: int, parameters: int) -> ConditionalNetwork:
        """A network in which every parameter depends on all ``code`` components."""
        widths = (context + code, hidden, hidden, parameters)
        return cls([nn.Linear(width, out) for width, out in pairwise(widths)])

    @classmethod
    def masked(cls, context: int, hidden: int, order: Sequence[int], sets: int) -> ConditionalNetwork:
        """A network of ``sets`` parameters per component, which depend on components of lower ``order`` and the
        context.

        A unit of degree d depends on the components of order 0 to d - 1. Units of degree 0 depend on the context alone,
        so the first component can also depend on the context. Parameters are ordered set by set: (sets Z).
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
