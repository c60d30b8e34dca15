"""The autoregressive part: the lower face, frame by frame, from its own previous outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LowerFaceHead(nn.Module):
    """y(t) = base(t) + Linear(h(t)), h(t) = GRU(features(t), y(t - 1), h(t - 1)).

    The cell is a GRU (Cho et al. 2014) in the variant with the reset after the product, so that everything that depends
    on the features is computed for all frames at once and a step takes one matrix product. Starts as the identity on
    ``base``.
    """

    def __init__(self, features: int, lower_face: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.read = nn.Linear(features + lower_face, 3 * width)
        self.recur = nn.Linear(width + lower_face, 3 * width)
        self.write = nn.Linear(width, lower_face)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(
        self,
        features: Tensor,
        base: Tensor,
        hidden: Tensor,
        last: Tensor,
        teacher: Tensor | None = None,
        forced: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Refined base (B, T, n) and the last hidden state (B, width).

        Args:
            features: (B, T, features).
            base: (B, T, n), the prediction to refine.
            hidden: (B, width), h before the first frame.
            last: (B, n), y before the first frame.
            teacher: (B, T, n), the true y, or None.
            forced: (B, T), True where the next frame is given the true y(t).
        """
        gates = self.read(torch.cat([features, base], -1)).unbind(1)
        outputs = []
        for frame, (gate, start) in enumerate(zip(gates, base.unbind(1), strict=True)):
            past = self.recur(torch.cat([hidden, last], -1))
            update, reset = torch.sigmoid(gate[:, : 2 * self.width] + past[:, : 2 * self.width]).chunk(2, -1)
            candidate = torch.tanh(gate[:, 2 * self.width :] + reset * past[:, 2 * self.width :])
            hidden = torch.lerp(candidate, hidden, update)
            last = start + self.write(hidden)
            outputs.append(last)
            if teacher is not None and forced is not None:
                last = torch.where(forced[:, frame, None], teacher[:, frame], last)
        return torch.stack(outputs, 1), hidden
