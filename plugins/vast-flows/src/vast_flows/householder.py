"""Householder flow: a chain of reflections whose mirrors are computed from the prompt."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from vast_core.interfaces import Flow, FlowOutput, Sizes

from .config import HouseholderConfig, HouseholderForm
from .precision import at_least_float32, no_autocast

NEGLIGIBLE = 1e-12
"""A mirror with all components below this has no direction; the map is then the identity."""
BLOCK = 8
"""Mirrors per block of the compact form; larger blocks lose digits if mirrors are nearly parallel."""


class HouseholderFlow(Flow):
    """z_t = z_(t-1) - 2 v_t (v_t . z_(t-1)) / |v_t|^2 with v_1 = Linear(h) and v_(t+1) = Linear(v_t).

    Each map is a reflection, so the chain is orthogonal: ln|det| is 0, det is (-1)^K, and a diagonal Gaussian
    becomes one with a full covariance of the same eigenvalues. The mirrors depend on the context, because a fixed
    chain in front of a linear layer would have no effect.

    The second mirror of each pair starts as a copy of the first, so that a chain of even length starts as the
    identity (our choice); one of odd length starts as its last reflection. A mirror of length zero is skipped (our
    guard); any other, however long, is exact, because it is scaled before it is squared.

    The two forms give the same numbers from the same weights:

    * ``chain``: one reflection after the other, as its authors wrote it;
    * ``compact``: the product of up to 8 reflections at once. With the unit mirrors of a row as V (K, Z),

          H_K ... H_1 = I - V^T L^-1 V,  L = I/2 + the strictly lower triangle of V V^T,

      which takes two products with V, its Gram matrix and one triangular solve; the inverse uses L^T. A mirror of
      length zero is a row of zeros in V and has no effect.

    ``compact`` is the default (our choice), because it is faster at the sizes of the packaged recipes. One core,
    Z = 32, K = 8, time of chain / compact, forward and forward with backward: 1.34 and 1.17 at B = 1, 1.27 and 1.09 at
    B = 32, but 0.94 and 0.83 at B = 256, where the chain is faster (``tests/benchmarks/householder_forms.py``).

    References:
        Improving Variational Auto-Encoders using Householder Flow (Tomczak, Welling, 2016),
        https://arxiv.org/abs/1611.09630; VAST (Chen et al., 2023), eqs. 3-6. The compact WY form: A storage-efficient
        WY representation for products of Householder transformations (Schreiber, Van Loan, 1989); L without a
        recurrence: Accumulating Householder transformations, revisited (Joffrain et al., 2006).
    """

    volume_preserving: ClassVar[bool] = True
    orthogonal: ClassVar[bool] = True

    def __init__(self, style: int, context: int, steps: int, form: HouseholderForm = "compact") -> None:
        super().__init__()
        self.form = form
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
        """Build a chain of ``config.steps`` reflections."""
        return cls(sizes.style, sizes.context, config.steps, config.form)

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K (B, Z) and ln|det| = 0 (B,), at least in float32."""
        z = self._reflect(z, context, backwards=False)
        return FlowOutput(z, z.new_zeros(len(z)))

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z_0 (B, Z) of z_K: the same reflections in reverse order."""
        return self._reflect(z, context, backwards=True)

    def _layers(self) -> list[nn.Linear]:
        return [layer for layer in (self.first, *self.following) if isinstance(layer, nn.Linear)]

    def _reflect(self, z: Tensor, context: Tensor, *, backwards: bool) -> Tensor:
        apply = _one_by_one if self.form == "chain" else _at_once
        with no_autocast(z.device):
            z = at_least_float32(z)
            return apply(z, unit_mirrors(self._mirrors(context).to(z.dtype)), backwards)

    def _mirrors(self, context: Tensor) -> Tensor:
        """v_1 ... v_K (B, K, Z)."""
        mirrors = []
        vector = context
        for layer in self._layers():
            vector = layer(vector.to(layer.weight.dtype))
            mirrors.append(vector)
        return torch.stack(mirrors, 1)


def unit_mirrors(mirrors: Tensor) -> Tensor:
    """Mirrors (B, K, Z) of length 1, or of length 0 if they have no direction."""
    # The reflection does not depend on the length of the mirror, so the scale needs no gradient.
    scale = mirrors.detach().abs().amax(-1, keepdim=True)
    exists = scale > NEGLIGIBLE
    mirrors = torch.where(exists, mirrors / torch.where(exists, scale, 1.0), 0.0)
    return mirrors * mirrors.square().sum(-1, keepdim=True).clamp_min(0.5).rsqrt()  # at least 1 where a mirror exists


def _one_by_one(z: Tensor, mirrors: Tensor, backwards: bool) -> Tensor:
    """H_K ... H_1 z (B, Z) with unit ``mirrors`` (B, K, Z), or H_1 ... H_K z where ``backwards``."""
    chain = mirrors.unbind(1)
    for mirror in reversed(chain) if backwards else chain:
        z = z - 2 * mirror * (mirror * z).sum(-1, keepdim=True)
    return z


def _at_once(z: Tensor, mirrors: Tensor, backwards: bool) -> Tensor:
    """The result of :func:`_one_by_one`, by the compact WY representation of each block."""
    blocks = torch.split(mirrors, BLOCK, 1)
    for block in reversed(blocks) if backwards else blocks:
        lower = (block @ block.mT).tril(-1) + 0.5 * torch.eye(block.shape[1], dtype=z.dtype, device=z.device)
        system = lower.mT if backwards else lower
        along = (block * z[:, None]).sum(-1, keepdim=True)  # (B, K, 1); faster on CPUs than batched matrix products
        z = z - (block * torch.linalg.solve_triangular(system, along, upper=backwards)).sum(1)
    return z
