"""The network from mel-band energies to phones: the lower end of Whisper's encoder, and a small head.

The convolutions and three layers are those of :mod:`vast_audio.whisper`, their linear maps of limited rank (after M.
Jaderberg, A. Vedaldi and A. Zisserman, Speeding up convolutional neural networks with low rank expansions, 2014);
:mod:`vast_audio.compression` initialises them. Like Whisper, it processes one window of sound at a time.
"""

from __future__ import annotations

import attrs
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vast_core.phones import PHONES

from .config import ACOUSTIC_WIDTH as WIDTH
from .whisper import HEAD_WIDTH, positions

BANDS = 80
STEP_RATE = 50.0
"""Steps per second that the network is trained on; at other frame rates it gets 40 to 62, covered only by tests."""
_NARROW = 88
_DILATIONS = (2, 3, 4)
_REACH = 1 + sum(_DILATIONS)
"""Steps to either side that the head sees."""
_HIDDEN = 1e-6
"""Fraction of the level added to each band, so that an empty band holds no rounding noise."""
_FLOOR = 1e-20
"""Energy added in addition, so that digital silence is finite."""
HEAD_PACE = 8.0
"""Factor by which the head learns faster than the layers below it."""


@attrs.frozen
class Ranks:
    """Maximum ranks of the linear maps of a layer: ``qkv`` to queries, keys and values together, ``out``, both of the
    MLP."""

    qkv: int
    out: int
    fc1: int
    fc2: int


LAYERS = (Ranks(64, 80, 96, 144), Ranks(96, 80, 128, 160), Ranks(96, 80, 104, 128))
"""Ranks kept of Whisper tiny's first three layers, each of full rank 384: as much as fits in 5 MB."""
CONV_RANK = 96


class AcousticModel(nn.Module):
    """Logits of the phones at each step of a window, from the energies of two analysis windows per step.

    The input of a band is (lg(e / l + 1e-6) + 2.4) / 4, where l is the mean band energy of the window: gain cancels,
    and speech is about as loud as in Whisper's input.
    """

    mean: Tensor
    std: Tensor
    positions: Tensor

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv2 = LowRankConv(WIDTH, WIDTH, CONV_RANK)
        self.layers = nn.ModuleList(LowRankLayer(ranks) for ranks in LAYERS)
        self.register_buffer("positions", positions(WIDTH), persistent=False)
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.register_buffer("std", torch.ones(WIDTH))
        self.first = HeadConv(WIDTH, _NARROW, 3)
        self.blocks = nn.ModuleList(HeadConv(_NARROW, _NARROW, 3, dilation) for dilation in _DILATIONS)
        self.last = HeadConv(_NARROW, len(PHONES), 1)
        self.dropout = nn.Dropout(dropout)

    def features(self, energy: Tensor) -> Tensor:
        """Inputs (B, 80, 2 N), float32, of the energies (B, N, 2, BANDS) of a window."""
        energy = energy.float().flatten(1, 2)
        level = energy.mean((1, 2), keepdim=True)
        floor = _HIDDEN * level + _FLOOR
        return ((((energy + floor) / (level + _FLOOR)).log10() + 2.4) / 4).transpose(1, 2)

    def forward(self, features: Tensor, before: int = 0, after: int = 0) -> Tensor:
        """Logits (B, N - before - after, 40) of the inputs (B, 80, 2 N) of a window, N at most 1500.

        The first ``before`` and the last ``after`` steps are input, but get no logits.
        """
        left, right = max(0, before - _REACH), max(0, after - _REACH)
        logits = self.head(self.lower_end(features, left, right))
        return logits[:, before - left : logits.shape[1] - (after - right)]

    def lower_end(self, features: Tensor, before: int = 0, after: int = 0) -> Tensor:
        """Input of the head, (B, N - before - after, width), normalised to about zero mean and unit variance."""
        x = self.embedded(features)
        for layer in self.layers[:-1]:
            x = layer(x)
        rows: Tensor = (self.layers[-1](x, before, after) - self.mean) / self.std
        return rows

    def embedded(self, features: Tensor) -> Tensor:
        """Input of the first layer, (B, N, width)."""
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(features)))).transpose(1, 2)
        return x + self.positions[: x.shape[1]]

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (B, N, 40) from the output of :meth:`lower_end`."""
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
        """Map (..., inputs) to (..., outputs)."""
        y: Tensor = self.up(self.down(x))
        return y


class LowRankConv(nn.Module):
    """A convolution of size 3 and stride 2 with limited rank: ``down`` sees three steps, ``up`` one."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Conv1d(inputs, rank, 3, stride=2, padding=1, bias=False)
        self.up = nn.Conv1d(rank, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, 2 N) to (B, outputs, N)."""
        y: Tensor = self.up(self.down(x))
        return y


class LowRankLayer(nn.Module):
    """A layer of Whisper with linear maps of limited rank; those to queries, keys and values share A."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH)
        self.qkv = LowRank(WIDTH, 3 * WIDTH, ranks.qkv)
        self.out = LowRank(WIDTH, WIDTH, ranks.out)
        self.final_layer_norm = nn.LayerNorm(WIDTH)
        self.fc1 = LowRank(WIDTH, 4 * WIDTH, ranks.fc1)
        self.fc2 = LowRank(4 * WIDTH, WIDTH, ranks.fc2)

    def forward(self, x: Tensor, before: int = 0, after: int = 0) -> Tensor:
        """Map (B, N, width) to (B, N - before - after, width), without the first and last steps."""
        x = x[:, before : x.shape[1] - after] + self.out(self.attended(x, before, after))
        out: Tensor = x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return out

    def attended(self, x: Tensor, before: int = 0, after: int = 0) -> Tensor:
        """Output of the attention over all steps, (B, N - before - after, width)."""
        q, k, v = rearrange(
            self.qkv(self.self_attn_layer_norm(x)), "b n (three head c) -> three b head n c", three=3, c=HEAD_WIDTH
        )
        q = q[:, :, before : q.shape[2] - after]
        rows: Tensor = rearrange(functional.scaled_dot_product_attention(q, k, v), "b head n c -> b n (head c)")
        return rows


class HeadConv(nn.Conv1d):
    """A convolution whose weights are stored :data:`HEAD_PACE` times too small, so that it learns that much faster.

    The optimiser moves each weight by about the learning rate, whatever the size of the gradient. One learning rate
    therefore suits both a randomly initialised head and a lower end that starts from Whisper's weights (T. Karras, T.
    Aila, S. Laine and J. Lehtinen, Progressive growing of GANs, 2018, section 4.1).
    """

    def __init__(self, inputs: int, outputs: int, size: int, dilation: int = 1) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2 * dilation, dilation=dilation)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.div_(HEAD_PACE)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, N) to (B, outputs, N)."""
        bias = None if self.bias is None else HEAD_PACE * self.bias
        return functional.conv1d(x, HEAD_PACE * self.weight, bias, padding=self.padding, dilation=self.dilation)
