"""A small time-delay network from energies in mel bands to phones, with a bounded context and no padding.

After V. Peddinti, D. Povey and S. Khudanpur, A time delay neural network architecture for efficient modeling of long
temporal contexts, Interspeech 2015; residual connections and sizes are our choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.phones import PHONES

BANDS = 40
STEP_RATE = 50.0
"""Steps a second that the network is trained on; between 40 and 62 it works as well."""
LEVEL_SPAN = 45
"""Steps to either side over which the local level is taken."""
_FLOOR = 1e-9
_DILATIONS = (1, 1, 2, 2, 3, 4)


class AcousticModel(nn.Module):
    """Logits of the phones at each step, from the energies of two windows a step.

    A band's input is ln(e / l + 1e-4), where l is its mean energy over :data:`LEVEL_SPAN` steps to either side: gain
    and the colour of microphone and room cancel. One more input tells the level itself.
    """

    def __init__(self, width: int = 224, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv1d(2 * BANDS + 1, width, 3)
        self.blocks = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=dilation) for dilation in _DILATIONS)
        self.last = nn.Conv1d(width, len(PHONES), 1)
        self.dropout = nn.Dropout(dropout)
        self.reach = 1 + sum(_DILATIONS)
        self.margin = self.reach + LEVEL_SPAN
        """Steps before and after a step that its logits depend on."""

    def features(self, energy: Tensor) -> Tensor:
        """Inputs (B, 81, N - 2 * LEVEL_SPAN), float32, of energies (B, N, 2, BANDS)."""
        energy = energy.float().permute(0, 2, 3, 1)
        level = functional.avg_pool1d(energy.mean(1), 2 * LEVEL_SPAN + 1, stride=1) + _FLOOR
        inner = energy[..., LEVEL_SPAN : energy.shape[-1] - LEVEL_SPAN] + _FLOOR
        bands = (inner / level[:, None] + 1e-4).log().flatten(1, 2) / 3 + 1
        loudness = level.mean(1, keepdim=True).log() / 4 + 2.5
        return torch.cat([bands, loudness], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, N - 2 * reach, 40) of inputs (B, 81, N)."""
        hidden = functional.relu(self.first(features))
        for block, dilation in zip(self.blocks, _DILATIONS, strict=True):
            hidden = hidden[..., dilation:-dilation] + self.dropout(functional.relu(block(hidden)))
        logits: Tensor = self.last(hidden)
        return logits.transpose(1, 2)
