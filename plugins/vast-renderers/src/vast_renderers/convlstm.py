"""A long short-term memory whose state is an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvLstm(nn.Module):
    """Convolutional LSTM over T feature maps.

    ``i, f, o, g = W * x_t + U * h_(t-1) + b``; ``c_t = sig(f) c_(t-1) + sig(i) tanh(g)``;
    ``h_t = sig(o) tanh(c_t)``, where ``*`` is a 3x3 convolution. The bias of the forget gate starts at 1.

    References:
        S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997;
        X. Shi et al., "Convolutional LSTM network", NeurIPS 2015 (without its peepholes).
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.from_input = nn.Conv2d(inputs, 4 * hidden, 3, padding=1)
        self.from_hidden = nn.Conv2d(hidden, 4 * hidden, 3, padding=1, bias=False)
        if self.from_input.bias is not None:
            with torch.no_grad():
                self.from_input.bias[hidden : 2 * hidden] += 1.0

    def forward(self, features: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Outputs (B, T, hidden, y, x) for ``features`` (B, T, inputs, y, x), and the state (h, c) after the last
        frame.

        ``state`` is two tensors (B, hidden, y, x); None starts at zero. Both are float32 even under autocast, so that
        values accumulated over a long clip are not rounded away.
        """
        batch, frames, _, rows, columns = features.shape
        # The input's part of the gates needs no state, so it is computed for all frames at once.
        gates = self.from_input(features.flatten(0, 1)).float().unflatten(0, (batch, frames))
        if state is None:
            hidden = gates.new_zeros(batch, self.hidden, rows, columns)
            cell = torch.zeros_like(hidden)
        else:
            hidden, cell = state
        outputs = []
        for t in range(frames):
            into, forget, out, new = (gates[:, t] + self.from_hidden(hidden).float()).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + into.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), (hidden, cell)
