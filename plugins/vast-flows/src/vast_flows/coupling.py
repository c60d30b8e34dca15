"""Affine coupling: one half of the code is scaled and shifted by functions of the other half and the prompt."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from vast_core.interfaces import Flow, FlowOutput, Sizes

from .config import CouplingConfig
from .networks import ConditionalNetwork, bounded
from .precision import at_least_float32, no_autocast

REACH = 2.0
"""Bound of the log-scale of one step: a component is scaled by at most 7.4."""


class CouplingFlow(Flow):
    """z'_b = z_b exp(s(z_a, h)) + t(z_a, h), z'_a = z_a, ln|det| = sum of s.

    z_a is the first half of the code, rounded down, and z_b the rest; every second step reverses the code, so that the
    halves swap, and the middle component of an odd width moves in each step. Codes of width 1 have an empty z_a: s and
    t then depend on the context alone. s is bounded by 2 tanh(s / 2) (our choice). The closed-form KL does not hold.

    References:
        Density estimation using Real NVP (Dinh et al., 2017), eqs. 7-8, https://arxiv.org/abs/1605.08803.
    """

    def __init__(self, style: int, context: int, steps: int, hidden: int) -> None:
        super().__init__()
        self.kept = style // 2
        self.steps = nn.ModuleList(
            ConditionalNetwork.dense(self.kept, context, hidden, 2 * (style - self.kept)) for _ in range(steps)
        )

    @classmethod
    def from_config(cls, config: CouplingConfig, sizes: Sizes) -> Self:
        """Build a chain of ``config.steps`` couplings."""
        return cls(sizes.style, sizes.context, config.steps, config.hidden)

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| (B,), at least in float32."""
        with no_autocast(z.device):
            z = at_least_float32(z)
            log_det = z.new_zeros(len(z))
            for number, network in enumerate(self.steps):
                kept, moved = self._halves(z, number)
                shift, log_scale = _parameters(network, kept, context)
                z = _whole(kept, moved * log_scale.exp() + shift, number)
                log_det = log_det + log_scale.sum(-1)
        return FlowOutput(z, log_det)

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K, in one pass per step."""
        with no_autocast(z.device):
            z = at_least_float32(z)
            for number, network in reversed(list(enumerate(self.steps))):
                kept, moved = self._halves(z, number)
                shift, log_scale = _parameters(network, kept, context)
                z = _whole(kept, (moved - shift) * (-log_scale).exp(), number)
        return z

    def _halves(self, z: Tensor, number: int) -> tuple[Tensor, Tensor]:
        z = z.flip(-1) if number % 2 else z
        return z[:, : self.kept], z[:, self.kept :]


def _whole(kept: Tensor, moved: Tensor, number: int) -> Tensor:
    z = torch.cat([kept, moved], -1)
    return z.flip(-1) if number % 2 else z


def _parameters(network: nn.Module, kept: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and log-scale of the moved half, each (B, Z - Z // 2)."""
    shift, change = network(kept, context).chunk(2, -1)
    return shift, bounded(change, REACH)
