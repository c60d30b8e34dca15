"""The non-autoregressive part: dilated convolutions over audio, modulated by style."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """A convolution of three taps without padding, modulated by the style (FiLM, Perez et al. 2018), with a residual.

    The taps are at -d, 0, d, or at -2d, -d, 0 if the block is causal. It is written as matrix products, which are fast
    on CPUs.
    """

    def __init__(self, width: int, style: int, dilation: int, causal: bool, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.causal = causal
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(style, 2 * width)
        self.taps = nn.Linear(3 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, T - 2d, width) from x (B, T, width) and style (B, Z)."""
        scale, shift = self.modulate(style)[:, None].chunk(2, -1)
        modulated = functional.silu(self.norm(x) * (1 + scale) + shift)
        d, length = self.dilation, x.shape[1] - 2 * self.dilation
        taps = torch.cat([modulated[:, start : start + length] for start in (0, d, 2 * d)], -1)
        kept = x[:, 2 * d :] if self.causal else x[:, d : d + length]
        y: Tensor = kept + self.drop(self.taps(taps))
        return y


class Trunk(nn.Module):
    """Frame t of the output depends on audio t - ``history`` ... t + ``lookahead``.

    There is no padding inside, so a frame is the same wherever the clip is cut into chunks.
    """

    def __init__(
        self, audio: int, style: int, width: int, symmetric: Sequence[int], causal: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.lookahead = sum(symmetric)
        self.history = sum(symmetric) + 2 * sum(causal)
        self.read = nn.Linear(audio, width)
        self.blocks = nn.ModuleList(
            [Block(width, style, dilation, False, dropout) for dilation in symmetric]
            + [Block(width, style, dilation, True, dropout) for dilation in causal]
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, audio: Tensor, style: Tensor) -> Tensor:
        """(B, T, width) from audio (B, history + T + lookahead, A) and style (B, Z)."""
        x = self.read(audio)
        for block in self.blocks:
            x = block(x, style)
        y: Tensor = self.norm(x)
        return y
