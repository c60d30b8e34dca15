"""Invertible maps of the style code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import attrs
from torch import Tensor, nn

from .sizes import Sizes


@attrs.frozen(eq=False)
class FlowOutput:
    """z_K and the sum of ln|det dH_k / dz_(k-1)| over the chain."""

    z: Tensor
    """(B, Z)."""
    log_det: Tensor
    """(B,), nats."""


class Flow(nn.Module, ABC):
    """An invertible map of the style code, given the encoder's context (VAST, eqs. 3-6).

    A flow may offer ``inverse(z, context) -> Tensor``.
    """

    volume_preserving: ClassVar[bool] = False
    """True only if log_det is exactly 0; the closed-form KL then holds if the map is also orthogonal."""
    orthogonal: ClassVar[bool] = False
    """True if z -> z_K is an orthogonal linear map for each context, so that KL(zK) = KL(z0) in closed form."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K and log_det of z0 (B, Z), given context (B, H)."""
