"""The network from energies in mel bands to phones: the lower end of Whisper's encoder, and a small head of its own.

The convolutions and two layers are those of :mod:`vast_audio.whisper`, thinned by :mod:`vast_audio.pruning`: a student
that starts from its teacher's layers (V. Sanh, L. Debut, J. Chaumond and T. Wolf, DistilBERT, 2019). Unlike there, the
context is bounded, nothing is padded, and loudness is relative to what is around.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vast_core.phones import PHONES

from .whisper import HEAD_WIDTH, Encoder

BANDS = 80
STEP_RATE = 50.0
"""Steps a second that the network is trained on; at other frame rates it hears 40 to 62, untried but for the tests."""
LEVEL_SPAN = 45
"""Steps to either side over which the level is taken."""
SPAN = 40
"""Steps to either side that a step attends to, in each layer."""
HEADS, HIDDEN = 4, 640
"""What a layer keeps of Whisper tiny's 6 heads of attention and 1536 hidden units: as much as fits in 5 MB."""
_WIDTH, _NARROW, _LAYERS = 384, 88, 2
_DILATIONS = (2, 3, 4)
_PLACE = 300
"""The one of Whisper's positions at which every step finds itself."""
_BLOCK = 64
"""Steps whose attention is computed together."""
_HIDDEN = 1e-6
"""Of the level, what is added to each band: an empty band then holds no rounding noise."""
_FLOOR = 1e-20
"""Added besides, so that digital silence is finite."""
HEAD_PACE = 8.0
"""By how much the head learns faster than what is below it."""


class AcousticModel(nn.Module):
    """Logits of the phones at each step, from the energies of two windows a step.

    A band's input is (lg(e / l + 1e-6) + 2.4) / 4, where l is the mean energy of a band over all bands and
    :data:`LEVEL_SPAN` steps to either side: gain cancels, and speech is about as loud as Whisper's input has it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dropout: float = 0.0, heads: int = HEADS, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, _WIDTH, 3)
        self.conv2 = nn.Conv1d(_WIDTH, _WIDTH, 3, stride=2)
        self.place = nn.Parameter(torch.zeros(_WIDTH))
        self.layers = nn.ModuleList(LocalLayer(heads, hidden) for _ in range(_LAYERS))
        self.register_buffer("mean", torch.zeros(_WIDTH))
        self.register_buffer("std", torch.ones(_WIDTH))
        self.first = HeadConv(_WIDTH, _NARROW, 3)
        self.blocks = nn.ModuleList(HeadConv(_NARROW, _NARROW, 3, dilation) for dilation in _DILATIONS)
        self.last = HeadConv(_NARROW, len(PHONES), 1)
        self.dropout = nn.Dropout(dropout)
        self.reach = 1 + _LAYERS * SPAN + 1 + sum(_DILATIONS)
        self.margin = self.reach + LEVEL_SPAN
        """Steps before and after a step that its logits depend on."""

    @classmethod
    def of(cls, encoder: Encoder) -> AcousticModel:
        """One that has the lower end of Whisper tiny's ``encoder`` whole, and an untrained head."""
        hidden, width = encoder.get_submodule("layers.0.fc1").get_parameter("weight").shape
        model = cls(heads=width // HEAD_WIDTH, hidden=hidden)
        model.conv1.load_state_dict(encoder.conv1.state_dict())
        model.conv2.load_state_dict(encoder.conv2.state_dict())
        with torch.no_grad():
            model.place.copy_(encoder.positions[_PLACE])
        for own, theirs in zip(model.layers, encoder.layers, strict=False):
            own.load_state_dict(theirs.state_dict())
        return model

    def features(self, energy: Tensor) -> Tensor:
        """Inputs (B, 80, 2 (N - 2 * LEVEL_SPAN)), float32, of energies (B, N, 2, BANDS)."""
        energy = energy.float()
        level = functional.avg_pool1d(energy.mean((2, 3))[:, None], 2 * LEVEL_SPAN + 1, stride=1)[:, 0]
        inner = energy[:, LEVEL_SPAN : energy.shape[1] - LEVEL_SPAN].flatten(1, 2)
        level = level.repeat_interleave(2, dim=1)[..., None]
        floor = _HIDDEN * level + _FLOOR
        return ((((inner + floor) / (level + _FLOOR)).log10() + 2.4) / 4).transpose(1, 2)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, N - 2 * reach, 40) of inputs (B, 80, 2 N)."""
        hidden = self.below(features)
        for layer in self.layers:
            hidden = layer(hidden)
        hidden = functional.relu(self.first(((hidden - self.mean) / self.std).transpose(1, 2)))
        for block, dilation in zip(self.blocks, _DILATIONS, strict=True):
            hidden = hidden[..., dilation:-dilation] + self.dropout(functional.relu(block(hidden)))
        logits: Tensor = self.last(hidden)
        return logits.transpose(1, 2)

    def below(self, features: Tensor) -> Tensor:
        """What the layers are given, (B, N - 2, width) of inputs (B, 80, 2 N)."""
        hidden = functional.gelu(self.conv1(features))
        # a step's own window is the first of its two: its output is centred there
        return functional.gelu(self.conv2(hidden)).transpose(1, 2) + self.place


class HeadConv(nn.Conv1d):
    """A convolution whose weights are kept :data:`HEAD_PACE` times too small, so that it learns as much faster.

    The optimiser moves each weight by about the learning rate, whatever the gradient's size; so one rate serves a head
    that begins with nothing and a lower end that begins with Whisper's weights (T. Karras, T. Aila, S. Laine and J.
    Lehtinen, Progressive growing of GANs, 2018, section 4.1).
    """

    def __init__(self, inputs: int, outputs: int, size: int, dilation: int = 1) -> None:
        super().__init__(inputs, outputs, size, dilation=dilation)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.div_(HEAD_PACE)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, N - (size - 1) * dilation) of (B, inputs, N)."""
        bias = None if self.bias is None else HEAD_PACE * self.bias
        return functional.conv1d(x, HEAD_PACE * self.weight, bias, dilation=self.dilation)


class LocalAttention(nn.Module):
    """The projections of attention with ``heads`` heads."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.q_proj = nn.Linear(_WIDTH, inner)
        self.k_proj = nn.Linear(_WIDTH, inner, bias=False)
        self.v_proj = nn.Linear(_WIDTH, inner)
        self.out_proj = nn.Linear(inner, _WIDTH)


class LocalLayer(nn.Module):
    """A layer of Whisper in which each step is the middle of its own window of :data:`SPAN` steps to either side.

    Each step is given the position ``_PLACE`` and hears a step d away as if that had the position ``_PLACE + d``. With
    x the sum of what is heard and the position, p the difference of the two positions and s the deviation by which the
    layer normalises x, K norm(x + p) is K norm(x) + K (g p) / s (g the gain of the normalisation, p without its mean; s
    hardly depends on the position, 0.5 % on speech), and likewise for the values. So logits and values have a part of
    the step and one of the distance (after Z. Dai et al., Transformer-XL, 2019), and no window is computed twice.
    """

    apart: Tensor
    far: Tensor

    def __init__(self, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(_WIDTH)
        self.self_attn = LocalAttention(heads)
        self.final_layer_norm = nn.LayerNorm(_WIDTH)
        self.fc1 = nn.Linear(_WIDTH, hidden)
        self.fc2 = nn.Linear(hidden, _WIDTH)
        angles = (_PLACE + torch.arange(-SPAN, SPAN + 1))[:, None] * torch.logspace(0, -4, _WIDTH // 2)
        positions = torch.cat([angles.sin(), angles.cos()], dim=1)
        apart = positions - positions[SPAN]
        self.register_buffer("apart", apart - apart.mean(-1, keepdim=True), persistent=False)
        steps = torch.arange(_BLOCK + 2 * SPAN) - torch.arange(_BLOCK)[:, None]
        far = torch.zeros(steps.shape).masked_fill((steps < 0) | (steps > 2 * SPAN), -math.inf)
        self.register_buffer("far", far, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N - 2 * SPAN, width) of (B, N, width)."""
        x = x[:, SPAN : x.shape[1] - SPAN] + self.self_attn.out_proj(self.attended(x))
        out: Tensor = x + self.fc2(self.units(x))
        return out

    def units(self, x: Tensor) -> Tensor:
        """The hidden units (B, N, hidden) of what attention left, (B, N, width)."""
        return functional.gelu(self.fc1(self.final_layer_norm(x)))

    def attended(self, x: Tensor) -> Tensor:
        """What each step but the first and last :data:`SPAN` gathers, (B, N - 2 * SPAN, heads * 64)."""
        attention, norm = self.self_attn, self.self_attn_layer_norm
        count, wide = x.shape[1] - 2 * SPAN, _BLOCK + 2 * SPAN
        beyond = -count % _BLOCK  # steps after the end; only rows that are cut off see them
        scale = functional.pad((x.var(-1, correction=0) + norm.eps).rsqrt(), (0, beyond))
        scale = scale.unfold(1, wide, _BLOCK)[:, :, None, None]
        x = functional.pad(norm(x), (0, 0, 0, beyond))
        query = rearrange(
            attention.q_proj(x[:, SPAN : SPAN + count + beyond]),
            "b (block step) (head c) -> b block head step c",
            step=_BLOCK,
            c=HEAD_WIDTH,
        )
        key, value = (
            rearrange(
                projection(x).unfold(1, wide, _BLOCK), "b block (head c) step -> b block head step c", c=HEAD_WIDTH
            )
            for projection in (attention.k_proj, attention.v_proj)
        )
        key_apart, value_apart = (
            rearrange(
                functional.linear(self.apart * norm.weight, projection.weight), "d (head c) -> head d c", c=HEAD_WIDTH
            )
            for projection in (attention.k_proj, attention.v_proj)
        )
        logits = query @ key.transpose(-1, -2) + _at_steps(query @ key_apart.transpose(-1, -2)) * scale
        shares = torch.softmax(logits / math.sqrt(HEAD_WIDTH) + self.far, dim=-1)
        gathered = shares @ value + _at_distances(shares * scale) @ value_apart
        rows: Tensor = rearrange(gathered, "b block head step c -> b (block step) (head c)")[:, :count]
        return rows


def _at_steps(by_distance: Tensor) -> Tensor:
    """(..., _BLOCK, _BLOCK + 2 * SPAN) of (..., _BLOCK, 2 * SPAN + 1): row n moved by n columns, and 0 around it."""
    wide = _BLOCK + 2 * SPAN
    rows = functional.pad(by_distance, (0, _BLOCK)).flatten(-2)[..., : _BLOCK * wide]
    return rows.reshape(*by_distance.shape[:-1], wide)


def _at_distances(by_step: Tensor) -> Tensor:
    """The reverse of :func:`_at_steps`."""
    rows = functional.pad(by_step.flatten(-2), (0, _BLOCK))
    return rows.reshape(*by_step.shape[:-1], by_step.shape[-1] + 1)[..., : 2 * SPAN + 1]
