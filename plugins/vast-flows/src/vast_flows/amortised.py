"""Shared by flows whose maps have parameters that are linear in the context."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Self

from torch import Tensor, dtype, nn

from vast_core.interfaces import Flow, Sizes

from .config import PlanarConfig, RadialConfig


class AmortisedFlow(Flow):
    """A chain of ``steps`` maps with parameters linear in the context; each flow sets the initial bias."""

    def __init__(self, style: int, context: int, steps: int) -> None:
        super().__init__()
        self.style = style
        self.steps = steps
        self.amortised = nn.Linear(context, steps * self.count(style))
        nn.init.normal_(self.amortised.weight, std=0.01 / math.sqrt(context))

    @staticmethod
    @abstractmethod
    def count(style: int) -> int:
        """Number N of parameters of one map for codes of width ``style``."""

    @classmethod
    def from_config(cls, config: PlanarConfig | RadialConfig, sizes: Sizes) -> Self:
        """Build a chain of ``config.steps`` maps."""
        return cls(sizes.style, sizes.context, config.steps)

    def numbers(self, context: Tensor, kind: dtype) -> Tensor:
        """The parameters (B, K, N) of all maps, for context (B, H)."""
        values: Tensor = self.amortised(context.to(self.amortised.weight.dtype)).to(kind)
        return values.reshape(len(values), self.steps, -1)
