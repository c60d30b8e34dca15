"""The network from energies in mel bands to phones: the lower end of Whisper's encoder, and a small head of its own.

The convolutions and the first layer are those of :mod:`vast_audio.whisper`, whose weights they start from, as a student
from its teacher's layers (V. Sanh, L. Debut, J. Chaumond and T. Wolf, DistilBERT, 2019). Unlike there, the context is
bounded and nothing is padded: a step attends to :data:`SPAN` steps to either side, told apart by a learned bias on
their distance (C. Raffel et al., T5, 2020) instead of by positions, and loudness is relative to what is around.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vast_core.phones import PHONES

from .whisper import HEAD_WIDTH, Encoder, Layer, SelfAttention

BANDS = 80
STEP_RATE = 50.0
"""Steps a second that the network is trained on; at other frame rates it hears 40 to 62, untried but for the tests."""
LEVEL_SPAN = 45
"""Steps to either side over which the level is taken."""
SPAN = 32
"""Steps to either side that a step attends to."""
_WIDTH, _NARROW = 384, 88
_DILATIONS = (2, 3, 4)
_PLACE = 300
"""The one of Whisper's positions that every step is given."""
_BLOCK = 64
"""Steps whose attention is computed together."""
_HIDDEN = 1e-6
"""Of the level, what is added to each band: an empty band then holds no rounding noise."""
_FLOOR = 1e-20
"""Added besides, so that digital silence is finite."""


class AcousticModel(nn.Module):
    """Logits of the phones at each step, from the energies of two windows a step.

    A band's input is (lg(e / l + 1e-6) + 4) / 4, where l is the mean energy of a band over all bands and
    :data:`LEVEL_SPAN` steps to either side: gain cancels.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, _WIDTH, 3)
        self.conv2 = nn.Conv1d(_WIDTH, _WIDTH, 3, stride=2)
        self.place = nn.Parameter(torch.zeros(_WIDTH))
        self.layer = Layer(_WIDTH)
        self.distance = nn.Parameter(torch.zeros(_WIDTH // HEAD_WIDTH, 2 * SPAN + 1))
        self.norm = nn.LayerNorm(_WIDTH)
        self.first = nn.Conv1d(_WIDTH, _NARROW, 3)
        self.blocks = nn.ModuleList(nn.Conv1d(_NARROW, _NARROW, 3, dilation=dilation) for dilation in _DILATIONS)
        self.last = nn.Conv1d(_NARROW, len(PHONES), 1)
        self.dropout = nn.Dropout(dropout)
        self.reach = 1 + SPAN + 1 + sum(_DILATIONS)
        self.margin = self.reach + LEVEL_SPAN
        """Steps before and after a step that its logits depend on."""

    @torch.no_grad()
    def start_from(self, encoder: Encoder, mel: Tensor) -> None:
        """Take over the convolutions and the first layer of Whisper tiny's ``encoder``.

        The bias on a distance begins as what Whisper's positions add there to the logits of attention, in the mean over
        the steps of some speech, ``mel`` (B, 80, 2 N) of :class:`vast_audio.whisper.LogMel`.
        """
        for own, theirs in ((self.conv1, encoder.conv1), (self.conv2, encoder.conv2), (self.layer, encoder.layers[0])):
            own.load_state_dict(theirs.state_dict())
        self.place.copy_(encoder.positions[_PLACE])
        hidden = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).transpose(1, 2)
        placed, unplaced = (
            self._logits(hidden + where) for where in (encoder.positions[: hidden.shape[1]], self.place)
        )
        added = placed - unplaced
        added = (added - added.mean(-1, keepdim=True)).mean(0)
        distances = range(-SPAN, SPAN + 1)
        self.distance.copy_(torch.stack([added.diagonal(d, -2, -1).mean(-1) for d in distances], dim=1))

    def _logits(self, x: Tensor) -> Tensor:
        """Of the attention of every step to every other, (B, heads, N, N)."""
        attention, x = self.layer.self_attn, self.layer.self_attn_layer_norm(x)
        q, k = (
            rearrange(projection(x), "b step (head c) -> b head step c", c=HEAD_WIDTH)
            for projection in (attention.q_proj, attention.k_proj)
        )
        logits: Tensor = q @ k.transpose(-1, -2) / math.sqrt(HEAD_WIDTH)
        return logits

    def features(self, energy: Tensor) -> Tensor:
        """Inputs (B, 80, 2 (N - 2 * LEVEL_SPAN)), float32, of energies (B, N, 2, BANDS)."""
        energy = energy.float()
        level = functional.avg_pool1d(energy.mean((2, 3))[:, None], 2 * LEVEL_SPAN + 1, stride=1)[:, 0]
        inner = energy[:, LEVEL_SPAN : energy.shape[1] - LEVEL_SPAN].flatten(1, 2)
        level = level.repeat_interleave(2, dim=1)[..., None]
        floor = _HIDDEN * level + _FLOOR
        return ((((inner + floor) / (level + _FLOOR)).log10() + 4) / 4).transpose(1, 2)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, N - 2 * reach, 40) of inputs (B, 80, 2 N)."""
        hidden = functional.gelu(self.conv1(features))
        # a step's own window is the first of its two: its output is centred there
        hidden = functional.gelu(self.conv2(hidden)).transpose(1, 2) + self.place
        inner = hidden[:, SPAN : hidden.shape[1] - SPAN]
        inner = inner + self._attended(self.layer.self_attn, self.layer.self_attn_layer_norm(hidden))
        x = self.layer.final_layer_norm(inner)
        inner = inner + self.layer.fc2(functional.gelu(self.layer.fc1(x)))
        hidden = functional.relu(self.first(self.norm(inner).transpose(1, 2)))
        for block, dilation in zip(self.blocks, _DILATIONS, strict=True):
            hidden = hidden[..., dilation:-dilation] + self.dropout(functional.relu(block(hidden)))
        logits: Tensor = self.last(hidden)
        return logits.transpose(1, 2)

    def _attended(self, attention: SelfAttention, x: Tensor) -> Tensor:
        """What each step but the first and last :data:`SPAN` gathers from around: (B, N - 2 * SPAN, width)."""
        count = x.shape[1] - 2 * SPAN
        blocks = math.ceil(count / _BLOCK)
        x = functional.pad(x, (0, 0, 0, blocks * _BLOCK - count))  # beyond the end; only rows that are cut off see it
        wide = _BLOCK + 2 * SPAN

        def heads(projected: Tensor) -> Tensor:
            return rearrange(projected, "b block step (head c) -> b block head step c", c=HEAD_WIDTH)

        query = attention.q_proj(x[:, SPAN : x.shape[1] - SPAN])
        query = rearrange(query, "b (block step) c -> b block step c", step=_BLOCK)
        key, value = (
            heads(projection(x).unfold(1, wide, _BLOCK).transpose(2, 3))
            for projection in (attention.k_proj, attention.v_proj)
        )
        gathered = functional.scaled_dot_product_attention(heads(query), key, value, attn_mask=self._bias())
        gathered = rearrange(gathered, "b block head step c -> b (block step) (head c)")
        out: Tensor = attention.out_proj(gathered[:, :count])
        return out

    def _bias(self) -> Tensor:
        """What is added to the logits of attention (heads, _BLOCK, _BLOCK + 2 * SPAN); -inf beyond the span."""
        device = self.distance.device
        apart = torch.arange(_BLOCK + 2 * SPAN, device=device) - torch.arange(_BLOCK, device=device)[:, None]
        near = (apart >= 0) & (apart <= 2 * SPAN)
        return self.distance[:, apart.clamp(0, 2 * SPAN)].masked_fill(~near, -math.inf)
