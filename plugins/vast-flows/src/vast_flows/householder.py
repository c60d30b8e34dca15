"""Householder flow: a chain of reflections whose mirrors are read from the prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from vast_core.interfaces import Flow, FlowOutput, Sizes

from .config import HouseholderConfig
from .precision import at_least_float32, no_autocast

NEGLIGIBLE = 1e-12
"""A mirror whose every component is below this is no direction; the map is then the identity."""


class HouseholderFlow(Flow):
    """z_t = z_(t-1) - 2 v_t (v_t . z_(t-1)) / |v_t|^2 with v_1 = Linear(h) and v_(t+1) = Linear(v_t).

    Each map is a reflection, so the chain is orthogonal: ln|det| is 0, det is (-1)^K, and a diagonal Gaussian
    becomes one with a full covariance of the same eigenvalues. The mirrors depend on the context, since a fixed
    chain in front of a linear layer would do nothing.

    The second of each pair of mirrors starts as a copy of the first, so that a chain of even length starts as the
    identity (our choice); one of odd length starts as its last reflection. A mirror of length zero reflects
    nothing (our guard); any other, however long, is exact, because it is scaled before it is squared.

    References:
        Improving Variational Auto-Encoders using Householder Flow (Tomczak, Welling, 2016),
        https://arxiv.org/abs/1611.09630; VAST (Chen et al., 2023), eqs. 3-6.
    """

    volume_preserving: ClassVar[bool] = True
    orthogonal: ClassVar[bool] = True

    def __init__(self, style: int, context: int, steps: int) -> None:
        super().__init__()
        self.first = nn.Linear(context, style)
        self.following = nn.ModuleList(nn.Linear(style, style) for _ in range(steps - 1))
        with torch.no_grad():
            for number, layer in enumerate(self._layers()):
                if number == 0:
                    continue
                (nn.init.eye_ if number % 2 else nn.init.orthogonal_)(layer.weight)
                nn.init.zeros_(layer.bias)

    @classmethod
    def from_config(cls, config: HouseholderConfig, sizes: Sizes) -> Self:
        """Make a chain of ``config.steps`` reflections."""
        return cls(sizes.style, sizes.context, config.steps)

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| = 0 (B,), in float32 at least."""
        z = self._reflect(z, self._mirrors(context))
        return FlowOutput(z, z.new_zeros(len(z)))

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K: the same reflections, last one first."""
        return self._reflect(z, reversed(self._mirrors(context)))

    def _layers(self) -> list[nn.Linear]:
        return [layer for layer in (self.first, *self.following) if isinstance(layer, nn.Linear)]

    def _mirrors(self, context: Tensor) -> list[Tensor]:
        """v_1 ... v_K, each (B, Z)."""
        mirrors = []
        with no_autocast(context.device):
            vector = context
            for layer in self._layers():
                vector = layer(vector.to(layer.weight.dtype))
                mirrors.append(vector)
        return mirrors

    @staticmethod
    def _reflect(z: Tensor, mirrors: Iterable[Tensor]) -> Tensor:
        with no_autocast(z.device):
            z = at_least_float32(z)
            for mirror in mirrors:
                vector = mirror.to(z.dtype)
                # The reflection does not depend on the mirror's length, so the scale needs no gradient.
                scale = vector.detach().abs().amax(-1, keepdim=True)
                exists = scale > NEGLIGIBLE
                vector = torch.where(exists, vector / torch.where(exists, scale, 1.0), 0.0)
                square = vector.square().sum(-1, keepdim=True).clamp_min(0.5)  # at least 1 where a mirror exists
                z = z - 2 * vector * (vector * z).sum(-1, keepdim=True) / square
        return z
