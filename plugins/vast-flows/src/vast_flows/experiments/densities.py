"""Four densities in the plane that a Gaussian cannot fit, and the fit of a flow to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import attrs
import torch
from torch import Tensor, nn

from vast_core.interfaces import Flow, Posterior

from .config import Density

Energy = Callable[[Tensor], Tensor]
"""U(z) (B,) of z (B, 2); the density is exp(-U) / Z."""

EDGE = 4.0
"""Half the side of the paper's pictures. U2 to U4 are unbounded along z_1 and are not densities without a limit (our
choice): beyond it U rises by 10 times the square of the distance."""


def _walled(energy: Energy) -> Energy:
    def walled(z: Tensor) -> Tensor:
        return torch.add(energy(z), (z.abs() - EDGE).clamp_min(0).square().sum(-1), alpha=10)

    return walled


def _ring(z: Tensor) -> Tensor:
    left, right = (-0.5 * ((z[:, 0] + side) / 0.6).square() for side in (2, -2))
    radius: Tensor = torch.linalg.vector_norm(z, dim=-1)
    return 0.5 * ((radius - 2) / 0.4).square() - torch.logaddexp(left, right)


def _height(z: Tensor) -> Tensor:
    """z_2 - w_1(z), w_1 = sin(2 pi z_1 / 4)."""
    return z[:, 1] - torch.sin(0.5 * math.pi * z[:, 0])


def _wave(z: Tensor) -> Tensor:
    return 0.5 * (_height(z) / 0.4).square()


def _split_wave(z: Tensor) -> Tensor:
    lifted = _height(z) + 3 * torch.exp(-0.5 * ((z[:, 0] - 1) / 0.6).square())
    return -torch.logaddexp(-0.5 * (_height(z) / 0.35).square(), -0.5 * (lifted / 0.35).square())


def _forked_wave(z: Tensor) -> Tensor:
    lifted = _height(z) + 3 * torch.sigmoid((z[:, 0] - 1) / 0.3)
    return -torch.logaddexp(-0.5 * (_height(z) / 0.4).square(), -0.5 * (lifted / 0.35).square())


ENERGIES: Mapping[Density, Energy] = {
    "ring": _walled(_ring),
    "wave": _walled(_wave),
    "split wave": _walled(_split_wave),
    "forked wave": _walled(_forked_wave),
}
"""U1 to U4 (Rezende & Mohamed 2015, table 1), within :data:`EDGE`."""


def log_normaliser(energy: Energy, points: int = 600) -> float:
    """ln Z = ln of the integral of exp(-U), by the midpoint rule on ``points`` squared of [-6, 6]^2, in float64."""
    z, area = grid(points, half=1.5 * EDGE)
    return float(torch.logsumexp(-energy(z), 0)) + math.log(area)


def grid(points: int, half: float = EDGE) -> tuple[Tensor, float]:
    """Midpoints (points^2, 2) of the cells of [-half, half]^2, with z_2 ascending by row, and the area of a cell."""
    side = 2 * half / points
    line = torch.linspace(-half + side / 2, half - side / 2, points, dtype=torch.float64)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], -1), side * side


class Approximation(nn.Module):
    """A diagonal Gaussian with learned mean and scale, and a flow with a constant context."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))
        self.log_std = nn.Parameter(torch.zeros(2))
        self.flow = flow

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """z_K (B, 2) and ln q(z_K) (B,)."""
        noise = torch.randn(count, 2, generator=generator)
        context = torch.ones(count, 1)
        q0 = Posterior(self.mean.expand(count, 2), self.log_std.expand(count, 2), context)
        z0 = q0.sample(noise)
        output = self.flow(z0, context)
        return output.z, q0.log_prob(z0) - output.log_det


@attrs.frozen
class Divergence:
    """KL(q || p) in nats, by Monte Carlo."""

    mean: float
    standard_error: float


def divergence(approximation: Approximation, energy: Energy, samples: int = 100_000, seed: int = 0) -> Divergence:
    """KL(q || p) = E_q[ln q(z_K) + U(z_K)] + ln Z."""
    with torch.no_grad():
        z, log_q = approximation.sample(samples, torch.Generator().manual_seed(seed))
        gap = log_q.double() + energy(z.double())
    return Divergence(float(gap.mean()) + log_normaliser(energy), float(gap.std()) / samples**0.5)


def fit(flow: Flow, energy: Energy, *, steps: int, batch: int, learning_rate: float, seed: int) -> Approximation:
    """The approximation that minimises E_q[ln q(z_K) + beta U(z_K)], by Adam.

    beta rises from 0.01 to 1, as in the paper's section 6, here over the first half of the steps; the learning rate
    has a cosine decay (our choices). Gradients are clipped to a norm of 10 (our choice), because U is steep near the
    walls.
    """
    approximation = Approximation(flow)
    optimiser = torch.optim.Adam(approximation.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        beta = min(1.0, 0.01 + 2 * step / steps)
        z, log_q = approximation.sample(batch, generator)
        loss = (log_q + beta * energy(z)).mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(approximation.parameters(), 10)
        optimiser.step()
        schedule.step()
    return approximation
