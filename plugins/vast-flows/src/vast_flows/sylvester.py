"""Sylvester flow: planar maps in many directions at once, with a cheap triangular determinant."""

from __future__ import annotations

import math
from typing import Self

import attrs
import torch
from torch import Tensor, nn

from vast_core.errors import InputError
from vast_core.interfaces import Flow, FlowOutput, Sizes

from .bisection import root
from .config import SylvesterConfig
from .frames import AlternatingFrames, HouseholderFrames, OrthogonalFrames
from .precision import at_least_float32, no_autocast

LIMIT = 0.9995
"""Bound of the diagonals of R and R~: their product stays above -0.999, so that rounding cannot make it singular."""
RANK = 8
"""Default columns of Q: at Z = 32 a sixth of the parameters of 32 columns, and a third of the time."""
REFLECTIONS = 8
"""Default number of reflections in Q, as in the paper."""


@attrs.frozen(eq=False)
class _Map:
    """One Sylvester map for each row of the batch."""

    frame: Tensor
    """Q (B, Z, M)."""
    outer: Tensor
    """R (B, M, M), upper triangular."""
    inner: Tensor
    """R~ (B, M, M), upper triangular."""
    bias: Tensor
    """b (B, M)."""


class SylvesterFlow(Flow):
    """z' = z + Q R tanh(R~ Q^T z + b), ln|det| = sum over i of ln(1 + r_ii r~_ii (1 - tanh^2(.)_i)).

    Q (Z, M) has orthonormal columns, R and R~ (M, M) are upper triangular. All parameters are linear in the context,
    except the diagonals, which are 0.9995 tanh of it: because r_ii r~_ii > -1, the map is invertible. Variants of Q:

    * ``orthogonal``: M columns, orthonormalised by an iteration, see :class:`vast_flows.frames.OrthogonalFrames`;
    * ``householder``: a product of reflections, M = Z;
    * ``triangular``: alternately the identity and the permutation that reverses the order, M = Z.

    The chain starts near the identity: R is small (our choice). The inverse uses back substitution: in the coordinates
    Q^T z, each component is the root of an increasing function once the later ones are known. The closed-form KL does
    not hold.

    References:
        Sylvester Normalizing Flows for Variational Inference (van den Berg et al., 2018), eqs. 8-13,
        https://arxiv.org/abs/1803.05649.
    """

    def __init__(
        self,
        style: int,
        context: int,
        frames: OrthogonalFrames | HouseholderFrames | AlternatingFrames,
        *,
        steps: int,
        rank: int,
    ) -> None:
        super().__init__()
        self.shape = (steps, rank, rank + 2)
        self.frames = frames
        self.amortised = nn.Linear(context, math.prod(self.shape))
        nn.init.normal_(self.amortised.weight, std=0.01 / math.sqrt(context))
        with torch.no_grad():
            start = torch.zeros(self.shape)
            start[..., -2] = 1.0  # R~ starts as 0.76 I; at zero, R would get no gradient
            self.amortised.bias.copy_(start.flatten())

    @classmethod
    def from_config(cls, config: SylvesterConfig, sizes: Sizes) -> Self:
        """Build a chain of ``config.steps`` Sylvester maps.

        Raises :class:`InputError` if ``config.rank`` is larger than the width of the style code.
        """
        style, context, steps = sizes.style, sizes.context, config.steps
        rank = style
        frames: OrthogonalFrames | HouseholderFrames | AlternatingFrames
        if config.variant == "orthogonal":
            rank = min(RANK, style) if config.rank is None else config.rank
            if rank > style:
                raise InputError(f"flow/sylvester: rank is {rank}, but the style code has width {style}")
            frames = OrthogonalFrames(style, context, steps, rank)
        elif config.variant == "householder":
            reflections = REFLECTIONS if config.reflections is None else config.reflections
            frames = HouseholderFrames(style, context, steps, reflections)
        else:
            frames = AlternatingFrames(style, steps)
        return cls(style, context, frames, steps=steps, rank=rank)

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| (B,), at least in float32."""
        with no_autocast(z.device):
            z = at_least_float32(z)
            log_det = z.new_zeros(len(z))
            for step in self._maps(context, z.dtype):
                bent = torch.tanh(_times(step.inner, _times(step.frame.mT, z)) + step.bias)
                z = z + _times(step.frame, _times(step.outer, bent))
                slope = step.outer.diagonal(dim1=-2, dim2=-1) * step.inner.diagonal(dim1=-2, dim2=-1)
                log_det = log_det + torch.log1p(slope * (1 - bent.square())).sum(-1)
        return FlowOutput(z, log_det)

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K, by M bisections per step.

        A Newton step from the root gives the result the gradient of the true inverse.
        """
        with no_autocast(z.device):
            z = at_least_float32(z)
            for step in reversed(self._maps(context, z.dtype)):
                reached = _times(step.frame.mT, z)
                code = _roots(step, reached)
                bent = torch.tanh(_times(step.inner, code) + step.bias)
                off = code + _times(step.outer, bent) - reached
                rise = torch.diag_embed(torch.ones_like(bent)) + step.outer @ (
                    (1 - bent.square())[..., None] * step.inner
                )
                code = code - torch.linalg.solve_triangular(rise.detach(), off[..., None], upper=True).squeeze(-1)
                z = z - _times(step.frame, _times(step.outer, torch.tanh(_times(step.inner, code) + step.bias)))
        return z

    def _maps(self, context: Tensor, dtype: torch.dtype) -> list[_Map]:
        values = self.amortised(context.to(self.amortised.weight.dtype)).to(dtype).unflatten(-1, self.shape)
        # R above the diagonal, R~ transposed below it, as in the authors' code; the diagonal of R on it.
        square, inner_diagonal, bias = values[..., :-2], values[..., -2], values[..., -1]
        outer = square.triu(1) + torch.diag_embed(LIMIT * torch.tanh(square.diagonal(dim1=-2, dim2=-1)))
        inner = square.tril(-1).mT + torch.diag_embed(LIMIT * torch.tanh(inner_diagonal))
        parts = (self.frames(context, dtype), outer, inner, bias)
        return [_Map(*step) for step in zip(*(part.unbind(1) for part in parts), strict=True)]


@torch.no_grad()
def _roots(step: _Map, reached: Tensor) -> Tensor:
    """The a (B, M) for which a + R tanh(R~ a + b) equals ``reached``, from the last component up."""
    code, bent = torch.zeros_like(reached), torch.zeros_like(reached)
    for row in reversed(range(reached.shape[-1])):
        outer, inner = step.outer[:, row, row], step.inner[:, row, row]
        target = reached[:, row] - (step.outer[:, row] * bent).sum(-1)  # later components are known, the rest is zero
        given = step.bias[:, row] + (step.inner[:, row] * code).sum(-1)
        code[:, row] = root(outer, inner, given, target)
        bent[:, row] = torch.tanh(inner * code[:, row] + given)
    return code


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Matrices (B, M, N) times vectors (B, N)."""
    return (matrices @ vectors[..., None]).squeeze(-1)
