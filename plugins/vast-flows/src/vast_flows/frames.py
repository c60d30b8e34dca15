"""K orthonormal frames Q for Sylvester maps, in the three constructions of their authors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .householder import unit_mirrors

ITERATIONS = 25
"""Iterations; a small singular value grows by 1.5 per step, 25,000 times in all."""
POLISH = 2
"""Iterations after the check; each squares the remaining deviation."""
TOLERANCE = 1e-5
"""Largest entry of Q^T Q - I before the polish; after it, the deviation is below rounding, even in float64."""
SPREAD = 0.1
"""How strongly the context changes the frames of a new flow."""


class OrthogonalFrames(nn.Module):
    """Q (Z, M) by the iteration Q <- Q (3 I - Q^T Q) / 2 of Bjorck and Bowie, from a matrix linear in the context.

    The matrix is first scaled so that no singular value exceeds 1 and the iteration converges. If the deviation still
    exceeds :data:`TOLERANCE` after :data:`ITERATIONS` steps, the columns are nearly dependent (at Z = 32, M = 8 a
    condition number of 1,000 is accepted and one of 3,333 is not), and the first M unit vectors replace them (our
    guard). A frame is therefore always orthonormal, and the log_det of the map is exact.
    """

    def __init__(self, style: int, context: int, steps: int, rank: int) -> None:
        super().__init__()
        self.shape = (steps, style, rank)
        starts = [nn.init.orthogonal_(torch.empty(style, rank)) for _ in range(steps)]
        self.amortised = _linear(context, torch.stack(starts), SPREAD / math.sqrt(style))

    def forward(self, context: Tensor, dtype: torch.dtype) -> Tensor:
        """Q (B, K, Z, M) of context (B, H)."""
        values = self.amortised(context.to(self.amortised.weight.dtype)).to(dtype)
        return orthonormalised(values.unflatten(-1, self.shape))


class HouseholderFrames(nn.Module):
    """Q (Z, Z), a product of reflections in mirrors linear in the context; a mirror of length zero is skipped."""

    def __init__(self, style: int, context: int, steps: int, reflections: int) -> None:
        super().__init__()
        self.shape = (steps, reflections, style)
        starts = nn.functional.normalize(torch.randn(self.shape), dim=-1)
        self.amortised = _linear(context, starts, SPREAD / math.sqrt(style))

    def forward(self, context: Tensor, dtype: torch.dtype) -> Tensor:
        """Q (B, K, Z, Z) of context (B, H)."""
        values = self.amortised(context.to(self.amortised.weight.dtype)).to(dtype)
        frames = torch.eye(self.shape[-1], dtype=dtype, device=values.device)
        for mirror in unit_mirrors(values.unflatten(-1, self.shape)).unbind(-2):  # each (B, K, Z)
            frames = frames - 2 * (frames @ mirror[..., None]) * mirror[..., None, :]
        return frames


class AlternatingFrames(nn.Module):
    """Q (Z, Z), alternately the identity and the permutation that reverses the order; the same for every context."""

    def __init__(self, style: int, steps: int) -> None:
        super().__init__()
        self.style = style
        self.steps = steps

    def forward(self, context: Tensor, dtype: torch.dtype) -> Tensor:
        """Q (B, K, Z, Z)."""
        eye = torch.eye(self.style, dtype=dtype, device=context.device)
        frames = torch.stack([eye.flip(0) if number % 2 else eye for number in range(self.steps)])
        return frames.expand(len(context), -1, -1, -1)


def orthonormalised(matrices: Tensor) -> Tensor:
    """The matrices with orthonormal columns nearest to ``matrices`` (..., Z, M), by :class:`OrthogonalFrames`."""
    eye = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    with torch.no_grad():  # the result does not depend on the scale, which therefore needs no gradient
        largest = matrices.abs().amax((-2, -1), keepdim=True)
        largest = torch.where(largest > 0, largest, 1.0)
        entries = (matrices / largest).abs()
        rows, columns = (entries.sum(axis, keepdim=True).amax((-2, -1), keepdim=True) for axis in (-1, -2))
        euclidean = entries.square().sum((-2, -1), keepdim=True).sqrt()
        norm = torch.minimum(euclidean, (rows * columns).sqrt())  # both bound the largest singular value
        scale = largest * torch.where(norm > 0, norm, 1.0)
    frames = matrices / scale
    for _ in range(ITERATIONS):
        frames = frames @ (1.5 * eye - 0.5 * frames.mT @ frames)
    off = (frames.mT @ frames - eye).detach().abs().amax((-2, -1), keepdim=True)
    plain = torch.eye(*matrices.shape[-2:], dtype=matrices.dtype, device=matrices.device)
    frames = torch.where(off <= TOLERANCE, frames, plain)
    for _ in range(POLISH):
        frames = frames @ (1.5 * eye - 0.5 * frames.mT @ frames)
    return frames


def _linear(context: int, starts: Tensor, spread: float) -> nn.Linear:
    """A layer that gives ``starts`` for a context of zero, and values near it for others."""
    layer = nn.Linear(context, starts.numel())
    nn.init.normal_(layer.weight, std=spread / math.sqrt(context))
    with torch.no_grad():
        layer.bias.copy_(starts.flatten())
    return layer
