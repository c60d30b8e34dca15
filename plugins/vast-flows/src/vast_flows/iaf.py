"""Inverse autoregressive flow: each component is gated by a network of the components before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import Flow, FlowOutput, Sizes

from .config import IAFConfig
from .networks import ConditionalNetwork, bounded
from .precision import at_least_float32, no_autocast

OPEN = 5.0
"""The gate's initial logit, where the paper has 1 or 2: sigma starts at 0.993, near the identity."""
REACH = 7.0
"""Bound of the network's change to that logit: sigma stays above 0.119, so that the inverse keeps its precision."""


class InverseAutoregressiveFlow(Flow):
    """z'_i = sigma_i z_i + (1 - sigma_i) m_i, ln|det| = sum of ln sigma_i, sigma = sigmoid(5 + s).

    m_i and s_i are computed by a masked network (MADE) from the context and from the components before i, so the
    Jacobian is triangular. Every second step processes the components in reverse order. The gated update is the paper's
    numerically stable one: z' lies between z and m, so nothing grows. s is bounded by 7 tanh(s / 7) (our choice), so
    that the map can be inverted in floating point. The closed-form KL does not hold.

    ``forward`` is one pass of the network per step; ``inverse`` computes the components one by one, in Z passes per
    step.

    References:
        Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), algorithm 1,
        https://arxiv.org/abs/1606.04934.
    """

    def __init__(self, style: int, context: int, steps: int, hidden: int) -> None:
        super().__init__()
        orders = (range(style), range(style)[::-1])
        self.steps = nn.ModuleList(
            ConditionalNetwork.masked(context, hidden, orders[number % 2], sets=2) for number in range(steps)
        )

    @classmethod
    def from_config(cls, config: IAFConfig, sizes: Sizes) -> Self:
        """Build a chain of ``config.steps`` gated maps."""
        return cls(sizes.style, sizes.context, config.steps, config.hidden)

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| (B,), at least in float32."""
        with no_autocast(z.device):
            z = at_least_float32(z)
            log_det = z.new_zeros(len(z))
            for network in self._networks():
                mean, logit = _parameters(network, z, context)
                z = logit.sigmoid() * z + (-logit).sigmoid() * mean
                log_det = log_det + functional.logsigmoid(logit).sum(-1)
        return FlowOutput(z, log_det)

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K: pass i of a step computes its i-th component, which only depends on those before it."""
        with no_autocast(z.device):
            z = at_least_float32(z)
            for network in reversed(list(self._networks())):
                found = z
                for _ in range(z.shape[-1]):
                    mean, logit = _parameters(network, found, context)
                    found = (z - (-logit).sigmoid() * mean) / logit.sigmoid()
                z = found
        return z

    def _networks(self) -> Iterator[ConditionalNetwork]:
        return (network for network in self.steps if isinstance(network, ConditionalNetwork))


def _parameters(network: ConditionalNetwork, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """m and the gate's logit, each (B, Z)."""
    mean, change = network(z, context).chunk(2, -1)
    return mean, OPEN + bounded(change, REACH)
