"""Radial flow: each map expands or contracts the space of codes around one point, chosen by the prompt."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import FlowOutput

from .amortised import AmortisedFlow
from .precision import at_least_float32, no_autocast

MARGIN = 1e-3
"""Margin by which beta_hat / alpha stays above -1, so that rounding cannot invert the orientation."""
NEGLIGIBLE = 1e-12
"""Distance below which a code is at the centre."""


@attrs.frozen(eq=False)
class _Map:
    """One radial map; ``strength`` (B, 1) is beta_hat / alpha."""

    centre: Tensor
    log_alpha: Tensor
    strength: Tensor


class RadialFlow(AmortisedFlow):
    """z' = z + beta_hat (z - c) / (alpha + r) with r = |z - c|, alpha > 0 and beta_hat > -alpha.

    With g = alpha / (alpha + r) and s = beta_hat / alpha this is z' = z + s g (z - c) and

        ln|det| = (Z - 1) ln(1 + s g) + ln(1 + s g^2),

    which is how it is computed: g is the sigmoid of ln alpha - ln r, so no alpha overflows. The paper's constraint
    beta_hat = -alpha + softplus(beta) is here s = -1 + softplus(beta) + 1e-3, relative to alpha, so that the strength
    at the centre does not depend on the width; the 1e-3 is our margin against rounding. c, ln alpha and beta are linear
    in the context (our choice of amortisation). The chain starts near the identity, s = 0 at zero context, with centres
    drawn from the prior and alpha = sqrt(Z), the typical radius of the prior. The closed-form KL does not hold for this
    flow.

    References:
        Variational Inference with Normalizing Flows (Rezende, Mohamed, 2015), eq. 14 and appendix A.2,
        https://arxiv.org/abs/1505.05770.
    """

    def __init__(self, style: int, context: int, steps: int) -> None:
        super().__init__(style, context, steps)
        with torch.no_grad():
            start = self.amortised.bias.view(steps, style + 2)
            nn.init.normal_(start[:, :style])
            start[:, style] = 0.5 * math.log(style)
            start[:, style + 1] = math.log(math.expm1(1 - MARGIN))  # s = 0

    @staticmethod
    def count(style: int) -> int:
        """Number of parameters of one map."""
        return style + 2

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| (B,), at least in float32."""
        with no_autocast(z.device):
            z = at_least_float32(z)
            log_det = z.new_zeros(len(z))
            for step in self._maps(context, z.dtype):
                away = z - step.centre
                nearness = torch.sigmoid(step.log_alpha - _log_length(away))  # g
                z = z + step.strength * nearness * away
                across = torch.log1p(step.strength * nearness)
                along = torch.log1p(step.strength * nearness.square())
                log_det = log_det + ((self.style - 1) * across + along).squeeze(-1)
        return FlowOutput(z, log_det)

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K, in closed form: r = |z - c| is the positive root of a quadratic in r' = |z' - c|.

        With x = r / r', a = r' / (alpha + r') and b = alpha / (alpha + r'): a x^2 + (b (1 + s) - a) x - b = 0.
        """
        with no_autocast(z.device):
            z = at_least_float32(z)
            for step in reversed(list(self._maps(context, z.dtype))):
                away = z - step.centre
                ratio = step.log_alpha - _log_length(away)
                a, b = torch.sigmoid(-ratio), torch.sigmoid(ratio)
                middle = b * (1 + step.strength) - a
                root = torch.sqrt(middle.square() + 4 * a * b)
                # Of the two formulas for the positive root, the one without cancellation.
                falls = middle < 0
                shrink = torch.where(
                    falls,
                    (root - middle) / (2 * torch.where(falls, a, 1.0)),
                    2 * b / torch.where(falls, 1.0, middle + root),
                )
                z = step.centre + shrink * away
        return z

    def _maps(self, context: Tensor, dtype: torch.dtype) -> Iterator[_Map]:
        for value in self.numbers(context, dtype).unbind(1):
            centre, log_alpha, beta = torch.split(value, [self.style, 1, 1], -1)
            yield _Map(centre, log_alpha, functional.softplus(beta) - 1 + MARGIN)


def _log_length(vector: Tensor) -> Tensor:
    """ln |vector| (B, 1) of (B, Z); finite, with a gradient of zero, at length zero."""
    return 0.5 * vector.square().sum(-1, keepdim=True).clamp_min(NEGLIGIBLE**2).log()
