"""The network from energies in mel bands to phones: the lower end of Whisper's encoder, and a small head of its own.

The convolutions and three layers are those of :mod:`vast_audio.whisper`, their linear maps of limited rank (after M.
Jaderberg, A. Vedaldi and A. Zisserman, Speeding up convolutional neural networks with low rank expansions, 2014);
:mod:`vast_audio.compression` begins them. It hears one window of sound at a time, as Whisper does.
"""

from __future__ import annotations

import attrs
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vast_core.phones import PHONES

from .whisper import HEAD_WIDTH, positions

BANDS = 80
STEP_RATE = 50.0
"""Steps a second that the network is trained on; at other frame rates it hears 40 to 62, untried but for the tests."""
MARGIN = 24
"""Steps at either end of a window that are heard, but whose own logits are not used: too little is around them."""
_WIDTH, _NARROW = 384, 88
_DILATIONS = (2, 3, 4)
_REACH = 1 + sum(_DILATIONS)
"""Steps to either side that the head sees."""
_HIDDEN = 1e-6
"""Of the level, what is added to each band: an empty band then holds no rounding noise."""
_FLOOR = 1e-20
"""Added besides, so that digital silence is finite."""
HEAD_PACE = 8.0
"""By how much the head learns faster than what is below it."""


@attrs.frozen
class Ranks:
    """Greatest ranks of the linear maps of a layer: to queries, keys and values together, out of them, in and out."""

    qkv: int
    out: int
    fc1: int
    fc2: int


LAYERS = (Ranks(64, 80, 96, 144), Ranks(96, 80, 128, 160), Ranks(96, 80, 104, 128))
"""What is kept of Whisper tiny's first three layers, each of full rank 384: as much as fits in 5 MB."""
CONV_RANK = 96


class AcousticModel(nn.Module):
    """Logits of the phones at each step of a window, from the energies of two windows of analysis a step.

    A band's input is (lg(e / l + 1e-6) + 2.4) / 4, where l is the mean energy of a band in the window: gain cancels,
    and speech is about as loud as Whisper's input has it.
    """

    mean: Tensor
    std: Tensor
    positions: Tensor

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, _WIDTH, 3, padding=1)
        self.conv2 = LowRankConv(_WIDTH, _WIDTH, CONV_RANK)
        self.layers = nn.ModuleList(LowRankLayer(ranks) for ranks in LAYERS)
        self.register_buffer("positions", positions(_WIDTH), persistent=False)
        self.register_buffer("mean", torch.zeros(_WIDTH))
        self.register_buffer("std", torch.ones(_WIDTH))
        self.first = HeadConv(_WIDTH, _NARROW, 3)
        self.blocks = nn.ModuleList(HeadConv(_NARROW, _NARROW, 3, dilation) for dilation in _DILATIONS)
        self.last = HeadConv(_NARROW, len(PHONES), 1)
        self.dropout = nn.Dropout(dropout)

    def features(self, energy: Tensor) -> Tensor:
        """Inputs (B, 80, 2 N), float32, of the energies (B, N, 2, BANDS) of a window."""
        energy = energy.float().flatten(1, 2)
        level = energy.mean((1, 2), keepdim=True)
        floor = _HIDDEN * level + _FLOOR
        return ((((energy + floor) / (level + _FLOOR)).log10() + 2.4) / 4).transpose(1, 2)

    def forward(self, features: Tensor, margin: int = 0) -> Tensor:
        """Logits (B, N - 2 * margin, 40) of the inputs (B, 80, 2 N) of a window, N at most 1500.

        ``margin`` steps at either end are heard, but have no logits.
        """
        beyond = max(0, margin - _REACH)
        logits = self.head(self.lower_end(features, beyond))
        return logits[:, margin - beyond : logits.shape[1] - (margin - beyond)]

    def lower_end(self, features: Tensor, beyond: int = 0) -> Tensor:
        """What the head is given, (B, N - 2 * beyond, width), about 0 and as far from it as 1."""
        x = self.embedded(features)
        for layer in self.layers[:-1]:
            x = layer(x)
        rows: Tensor = (self.layers[-1](x, beyond) - self.mean) / self.std
        return rows

    def embedded(self, features: Tensor) -> Tensor:
        """What the first layer is given, (B, N, width)."""
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(features)))).transpose(1, 2)
        return x + self.positions[: x.shape[1]]

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (B, N, 40) of what :meth:`lower_end` gives."""
        x = functional.relu(self.first(hidden.transpose(1, 2)))
        for block in self.blocks:
            x = x + self.dropout(functional.relu(block(x)))
        logits: Tensor = self.last(x)
        return logits.transpose(1, 2)


class LowRank(nn.Module):
    """A linear map of limited rank, y = B A x + b; ``down`` is A, ``up`` is B with b."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., outputs) of (..., inputs)."""
        y: Tensor = self.up(self.down(x))
        return y


class LowRankConv(nn.Module):
    """A convolution of size 3 and stride 2 of limited rank: ``down`` sees three steps, ``up`` one."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Conv1d(inputs, rank, 3, stride=2, padding=1, bias=False)
        self.up = nn.Conv1d(rank, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, N) of (B, inputs, 2 N)."""
        y: Tensor = self.up(self.down(x))
        return y


class LowRankLayer(nn.Module):
    """A layer of Whisper whose linear maps have limited rank; those to queries, keys and values share A."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(_WIDTH)
        self.qkv = LowRank(_WIDTH, 3 * _WIDTH, ranks.qkv)
        self.out = LowRank(_WIDTH, _WIDTH, ranks.out)
        self.final_layer_norm = nn.LayerNorm(_WIDTH)
        self.fc1 = LowRank(_WIDTH, 4 * _WIDTH, ranks.fc1)
        self.fc2 = LowRank(4 * _WIDTH, _WIDTH, ranks.fc2)

    def forward(self, x: Tensor, beyond: int = 0) -> Tensor:
        """(B, N - 2 * beyond, width) of (B, N, width): all but the first and last ``beyond`` steps."""
        x = x[:, beyond : x.shape[1] - beyond] + self.out(self.attended(x, beyond))
        out: Tensor = x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return out

    def attended(self, x: Tensor, beyond: int = 0) -> Tensor:
        """What each step gathers from all, (B, N - 2 * beyond, width)."""
        q, k, v = rearrange(
            self.qkv(self.self_attn_layer_norm(x)), "b n (three head c) -> three b head n c", three=3, c=HEAD_WIDTH
        )
        q = q[:, :, beyond : q.shape[2] - beyond]
        rows: Tensor = rearrange(functional.scaled_dot_product_attention(q, k, v), "b head n c -> b n (head c)")
        return rows


class HeadConv(nn.Conv1d):
    """A convolution whose weights are kept :data:`HEAD_PACE` times too small, so that it learns as much faster.

    The optimiser moves each weight by about the learning rate, whatever the gradient's size; so one rate serves a head
    that begins with nothing and a lower end that begins with Whisper's weights (T. Karras, T. Aila, S. Laine and J.
    Lehtinen, Progressive growing of GANs, 2018, section 4.1).
    """

    def __init__(self, inputs: int, outputs: int, size: int, dilation: int = 1) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2 * dilation, dilation=dilation)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.div_(HEAD_PACE)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, N) of (B, inputs, N)."""
        bias = None if self.bias is None else HEAD_PACE * self.bias
        return functional.conv1d(x, HEAD_PACE * self.weight, bias, padding=self.padding, dilation=self.dilation)
