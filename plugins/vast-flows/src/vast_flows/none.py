"""The identity flow."""

from __future__ import annotations

from typing import ClassVar, Self

from torch import Tensor

from vast_core.interfaces import Flow, FlowOutput, Sizes

from .config import NoFlowConfig
from .precision import at_least_float32


class NoFlow(Flow):
    """The identity, z_K = z_0 with ln|det| = 0; it has no parameters and ignores the context."""

    volume_preserving: ClassVar[bool] = True
    orthogonal: ClassVar[bool] = True

    @classmethod
    def from_config(cls, config: NoFlowConfig, sizes: Sizes) -> Self:
        """Build the flow; nothing depends on the sizes."""
        return cls()

    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z (B, Z) unchanged and zeros (B,)."""
        z = at_least_float32(z)
        return FlowOutput(z, z.new_zeros(len(z)))

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        """z (B, Z) unchanged."""
        return at_least_float32(z)
