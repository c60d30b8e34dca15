"""A pre-norm transformer over windows of frames, and attention pooling."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Self-attention, then a two-layer perceptron, each with a LayerNorm before it and a residual connection."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.before_attention = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) from x (B, T, width); only frames that ``mask`` (B, T) keeps are attended to."""
        split = rearrange(
            self.project(self.before_attention(x)), "b t (three h c) -> three b h t c", three=3, h=self.heads
        )
        query, key, value = split.unbind(0)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None, :], dropout_p=self.dropout if self.training else 0.0
        )
        x = x + self.merge(rearrange(attended, "b h t c -> b t (h c)"))
        y: Tensor = x + self.perceptron(x)
        return y


class Transformer(nn.Module):
    """Blocks over windows of at most ``window`` frames, so that memory grows linearly with the length."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float, window: int) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) from x (B, T, width); every window starts at position 0."""
        batch, length, width = x.shape
        window = min(self.window, length)
        missing = -length % window
        x = rearrange(functional.pad(x, (0, 0, 0, missing)), "b (n t) c -> (b n) t c", t=window)
        mask = rearrange(functional.pad(mask, (0, missing), value=False), "b (n t) -> (b n) t", t=window)
        # A window without valid frames attends to all: softmax over nothing is NaN, and the pooling drops it anyway.
        mask = mask | ~mask.any(-1, keepdim=True)
        x = x + positions(window, width, x)
        for block in self.blocks:
            x = block(x, mask)
        y: Tensor = rearrange(x, "(b n) t c -> b (n t) c", b=batch)
        return y[:, :length]


class AttentionPooling(nn.Module):
    """Weighted mean over time with one set of weights per head: softmax over valid frames (StyleTalk, eq. 2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, heads)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, width) from x (B, T, width)."""
        x = self.norm(x)
        score: Tensor = self.score(x).masked_fill(~mask[..., None], -math.inf)
        weight = score.softmax(1)
        parts = rearrange(x, "b t (h c) -> b t h c", h=weight.shape[-1])
        pooled: Tensor = (weight[..., None] * parts).sum(1)
        return pooled.flatten(1)


def positions(length: int, width: int, like: Tensor) -> Tensor:
    """Sinusoidal positions (T, width), with the type and device of ``like`` (Vaswani et al. 2017)."""
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10_000) / width))
    angle = torch.arange(length, device=like.device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1).to(like.dtype)
