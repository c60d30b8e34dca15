"""Neural spline flow: each component is mapped by its own monotone spline, which depends on the preceding ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from vast_core.errors import ComponentError
from vast_core.interfaces import Flow, FlowOutput, Sizes

from .config import SplineConfig

try:
    from zuko.nn import MaskedMLP
    from zuko.transforms import AutoregressiveTransform, DependentTransform, MonotonicRQSTransform
except ImportError as error:
    raise ComponentError(
        f"flow/spline needs zuko, which cannot be imported ({error}); pip install 'vast-avatar[splines]'"
    ) from error

SLOPE = 1e-2
"""Minimum slope at a knot, and minimum ratio of two widths or heights; zuko's own 1e-3 gives larger errors of
ln|det|."""
HALVINGS = 60
"""Bisection steps of the inverse; the bracket is then narrower than the resolution of float64."""


class SplineFlow(Flow):
    """z'_i = S_i(z_i), ln|det| = sum of ln S'_i(z_i), with S_i increasing on [-bound, bound], the identity elsewhere.

    S_i has ``bins`` pieces, each the ratio of two quadratics; its knots and slopes are computed by a masked network
    from the context and from the components before i (``autoregressive``) or, for one half of the components, from the
    other half (``coupling``). Every second step processes the components in reverse order. The chain starts near the
    identity. The closed-form KL does not hold.

    Splines and masked network are zuko's; the inverse of a spline is ours, see :class:`Spline`. ``forward`` is one pass
    of the network per step; ``inverse`` takes Z passes per step, or two for ``coupling``.

    References:
        Neural Spline Flows (Durkan et al., 2019), https://arxiv.org/abs/1906.04032; zuko, https://zuko.readthedocs.io.
    """

    def __init__(self, style: int, context: int, config: SplineConfig) -> None:
        super().__init__()
        home = torch.get_default_device()
        with torch.device("cpu"):  # the masks are computed from data, which the meta device lacks
            order = torch.arange(style)
            if config.form == "coupling":
                order = (order >= (style + 1) // 2).long()
            self.steps = nn.ModuleList(
                _Step(order.flip(0) if number % 2 else order, context, config) for number in range(config.steps)
            )
        self.to(home)

    @classmethod
    def from_config(cls, config: SplineConfig, sizes: Sizes) -> Self:
        """Build a chain of ``config.steps`` spline maps."""
        return cls(sizes.style, sizes.context, config)

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| (B,), at least in float32."""
        with _no_autocast(z.device):
            z = z.to(torch.promote_types(z.dtype, torch.float32))
            log_det = z.new_zeros(len(z))
            for step in self.steps:
                z, added = step(context).call_and_ladj(z)
                log_det = log_det + added
        return FlowOutput(z, log_det)

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K."""
        with _no_autocast(z.device):
            z = z.to(torch.promote_types(z.dtype, torch.float32))
            for step in reversed(self.steps):
                z = step(context).inv(z)
        return z


class _Step(nn.Module):
    """One map of the chain: a spline per component, which depends on the components of lower ``order`` (Z,)."""

    def __init__(self, order: Tensor, context: int, config: SplineConfig) -> None:
        super().__init__()
        self.bins = config.bins
        self.passes = len(set(order.tolist()))
        self.spline = partial(Spline, bound=config.bound, slope=SLOPE)
        sees = torch.cat([order[:, None] > order, torch.ones(len(order), context, dtype=torch.bool)], 1)
        layers = (config.hidden, config.hidden)
        self.network = MaskedMLP(sees.repeat_interleave(3 * config.bins - 1, 0), layers, activation=nn.Tanh)
        last = self.network[-1]
        nn.init.normal_(last.weight, std=0.01 / math.sqrt(config.hidden))
        nn.init.zeros_(last.bias)

    def forward(self, context: Tensor) -> AutoregressiveTransform:
        """zuko's transform of codes (B, Z), given context (B, H)."""
        return AutoregressiveTransform(partial(self._splines, context), self.passes)

    def _splines(self, context: Tensor, z: Tensor) -> DependentTransform:
        weights = self.network[-1].weight.dtype
        values = self.network(torch.cat([z.to(weights), context.to(weights)], -1)).to(z.dtype)
        shapes = values.unflatten(-1, (z.shape[-1], -1)).split([self.bins, self.bins, self.bins - 1], -1)
        return DependentTransform(self.spline(*shapes), 1)


class Spline(MonotonicRQSTransform):  # type: ignore[misc]  # zuko is not typed
    """zuko's rational quadratic spline, inverted by bisection within the piece.

    The closed form takes the root of a discriminant that rounding can make negative where the spline is steep.
    """

    def _inverse(self, y: Tensor) -> Tensor:
        inside, x0, x1, y0, y1, d0, d1, slope = self.bin(self.searchsorted(self.vertical, y) - 1)
        share = torch.where(inside, (y - y0) / (y1 - y0), 0.0)

        def rise(theta: Tensor) -> Tensor:
            """Fraction of the piece's height reached at a fraction ``theta`` of its width."""
            both = theta * (1 - theta)
            reached: Tensor = (slope * theta**2 + d0 * both) / (slope + (d0 + d1 - 2 * slope) * both)
            return reached

        with torch.no_grad():
            low, high = torch.zeros_like(share), torch.ones_like(share)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                over = rise(middle) > share
                low, high = torch.where(over, low, middle), torch.where(over, middle, high)
            theta = (low + high) / 2
            both = theta * (1 - theta)
            steepness = slope * (2 * slope * both + d0 * (1 - theta) ** 2 + d1 * theta**2)
            steepness = steepness / (slope + (d0 + d1 - 2 * slope) * both) ** 2
        off = (share - rise(theta)) / steepness
        theta = theta + off - off.detach()  # a Newton step, only for its gradient
        return torch.where(inside, x0 + theta * (x1 - x0), y)


@contextmanager
def _no_autocast(device: torch.device) -> Iterator[None]:
    """Disable autocast, on devices that have it: splines in bfloat16 have no inverse."""
    if not torch.amp.is_autocast_available(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield
