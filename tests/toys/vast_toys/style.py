"""Style encoders that read words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vast_core.interfaces import Posterior, Sizes, StyleEncoder

ROWS = 64


class Words(StyleEncoder):
    """A label's code is read from the mean of its words' rows in a table, by their checksums."""

    reads: ClassVar = "labels"

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.style = sizes.style
        self.table = nn.Embedding(ROWS, 16)
        self.write = nn.Linear(16, 2 * sizes.style + sizes.context)

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """Make one."""
        return cls(sizes)

    def read_labels(self, labels: Sequence[str]) -> Posterior:
        """q(z0 given the words)."""
        device = self.table.weight.device
        rows = [torch.tensor([zlib.crc32(w.encode()) % ROWS for w in label.split()], device=device) for label in labels]
        return self._written(torch.stack([self.table(row).mean(0) for row in rows]))

    def _written(self, pooled: Tensor) -> Posterior:
        mean, log_std, context = self.write(pooled).float().tensor_split((self.style, 2 * self.style), -1)
        return Posterior(mean, log_std.tanh() - 1, context)


class Mannered(Words):
    """The same, and of a clip by the mean and the deviation of the expression."""

    reads: ClassVar = "both"

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.face = nn.Linear(2 * sizes.expression, 16)

    def forward(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Posterior:
        """q(z0 given the face)."""
        share = mask / mask.sum(1, keepdim=True).clamp_min(1)
        mean = (torch.where(mask[..., None], expression, 0.0) * share[..., None]).sum(1)
        apart = torch.where(mask[..., None], expression - mean[:, None], 0.0)
        variance = (apart.square() * share[..., None]).sum(1)
        return self._written(torch.tanh(self.face(torch.cat([mean, (variance + 1e-4).sqrt()], -1))))
