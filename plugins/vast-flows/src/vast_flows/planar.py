"""Planar flow: each map bends the code along one direction, chosen by the prompt."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from vast_core.interfaces import FlowOutput

from .amortised import AmortisedFlow
from .bisection import root
from .precision import at_least_float32, no_autocast

MARGIN = 1e-3
"""Margin by which w . u_hat stays above -1, so that rounding cannot make the map singular."""
NEGLIGIBLE = 1e-12
"""|w|^2 below which w has no direction; the map is then a translation."""


@attrs.frozen(eq=False)
class _Map:
    """One planar map, z + u_hat tanh(w . z + b), with ``slope`` = w . u_hat."""

    u_hat: Tensor
    w: Tensor
    b: Tensor
    slope: Tensor


class PlanarFlow(AmortisedFlow):
    """z' = z + u_hat tanh(w . z + b), ln|det| = ln(1 + (w . u_hat)(1 - tanh^2(w . z + b))).

    u_hat = u + (m(w . u) - w . u) w / |w|^2 with m(a) = -1 + softplus(a) + 1e-3 keeps w . u_hat above -1, where the
    map is invertible; the 1e-3 is our margin against rounding. u, w and b are linear in the context (our choice of
    amortisation). The chain starts near the identity: m(w . u) = 0 at zero context. If |w| is zero, the map is a
    translation by u tanh(b) (our guard). The closed-form KL does not hold for this flow.

    References:
        Variational Inference with Normalizing Flows (Rezende, Mohamed, 2015), eq. 10 and appendix A.1,
        https://arxiv.org/abs/1505.05770.
    """

    def __init__(self, style: int, context: int, steps: int) -> None:
        super().__init__(style, context, steps)
        neutral = math.log(math.expm1(1 - MARGIN))  # m(neutral) = 0
        with torch.no_grad():
            w = functional.normalize(torch.randn_like(self.amortised.bias[: steps * style]).view(steps, style))
            self.amortised.bias.copy_(torch.cat([neutral * w, w, torch.zeros_like(w[:, :1])], -1).flatten())

    @staticmethod
    def count(style: int) -> int:
        """Number of parameters of one map."""
        return 2 * style + 1

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| (B,), at least in float32."""
        with no_autocast(z.device):
            z = at_least_float32(z)
            log_det = z.new_zeros(len(z))
            for step in self._maps(context, z.dtype):
                bent = torch.tanh((step.w * z).sum(-1) + step.b)
                z = z + step.u_hat * bent[:, None]
                log_det = log_det + torch.log1p(step.slope * (1 - bent.square()))
        return FlowOutput(z, log_det)

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K, by bisection of a + (w . u_hat) tanh(a + b) = w . z', which increases with a.

        A Newton step from the root gives the result the gradient of the true inverse.
        """
        with no_autocast(z.device):
            z = at_least_float32(z)
            for step in reversed(list(self._maps(context, z.dtype))):
                reached = (step.w * z).sum(-1)
                along = root(step.slope, 1.0, step.b, reached)
                bent = torch.tanh(along + step.b)
                rise = 1 + step.slope * (1 - bent.square())
                along = along - (along + step.slope * bent - reached) / rise.detach()
                z = z - step.u_hat * torch.tanh(along + step.b)[:, None]
        return z

    def _maps(self, context: Tensor, dtype: torch.dtype) -> Iterator[_Map]:
        for value in self.numbers(context, dtype).unbind(1):
            u, w, b = value[:, : self.style], value[:, self.style : -1], value[:, -1]
            square = w.square().sum(-1, keepdim=True)
            exists = square > NEGLIGIBLE
            w = torch.where(exists, w, 0.0)
            along = (w * u).sum(-1, keepdim=True)
            # m(a) - a = softplus(-a) - 1 + margin, which has no cancellation for large a.
            missing = torch.where(exists, functional.softplus(-along) - 1 + MARGIN, 0.0)
            slope = torch.where(exists, functional.softplus(along) - 1 + MARGIN, 0.0)
            yield _Map(u + missing * w / torch.where(exists, square, 1.0), w, b, slope.squeeze(-1))
