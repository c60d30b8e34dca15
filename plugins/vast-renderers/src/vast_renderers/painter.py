"""The network that paints a mouth from the pictures that the footage has of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vast_core.interfaces import CloseUp

from .detail import mixed

_GROUP = 16
"""Channels that GroupNorm normalises together."""


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.GroupNorm(max(1, outputs // _GROUP), outputs),
        nn.LeakyReLU(0.2),
    )


class Painter(nn.Module):
    """A U-net that chooses, pixel by pixel, among the own frame and remembered mouths, and corrects the choice.

    ``picture = mixed(candidates, softmax(logits)) + correction``, see :func:`mixed`. The own frame and K remembered
    mouths are the candidates; logits and correction are the network's output, the logits relative to the mouths'
    likeness. So what it copies is as sharp as the footage; in training the mixture is a plain mean. The audio features
    are added at the bottleneck. It computes at half the size of the pictures, of which four pixels become channels, and
    returns to full size in the same way (pixel shuffle), which leaves no pattern of the sampling grid.

    References:
        O. Ronneberger, P. Fischer, T. Brox, "U-Net", MICCAI 2015; W. Shi et al., "Real-time single image and video
        super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016; A. Aitken et al.,
        "Checkerboard artifact free sub-pixel convolution", 2017 (initial weights).
    """

    def __init__(self, *, audio: int, width: int, remembered: int) -> None:
        super().__init__()
        self.remembered = remembered
        images = 3 * (1 + remembered) + 3
        self.at_half = _block(4 * images, 2 * width)
        self.at_quarter = _block(2 * width, 3 * width, 2)
        self.at_eighth = _block(3 * width, 4 * width, 2)
        self.audio = nn.Linear(audio, 4 * width)
        self.middle = nn.Sequential(_block(4 * width, 4 * width), _block(4 * width, 4 * width))
        self.to_quarter = _block(7 * width, 3 * width)
        self.to_half = _block(5 * width, 2 * width)
        self.to_full = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.last = nn.Conv2d(width + images, 4 + remembered, 3, padding=1)
        with torch.no_grad():
            # the four pixels of a group start with the same weights, and the picture as the most similar mouth
            self.to_full.weight.copy_(self.to_full.weight[::4].repeat_interleave(4, 0))
            self.last.weight.mul_(0.1)
            self.last.bias.zero_() if self.last.bias is not None else None
        self.to(memory_format=torch.channels_last)

    def forward(self, close_up: CloseUp, audio: Tensor) -> Tensor:
        """Pictures (B, T, 3, Y, X), not clamped, for a close-up and audio features (B, T, A)."""
        shape = audio.shape[:2]
        own = close_up.own.flatten(0, 1)
        mouths = close_up.remembered.flatten(0, 1)[:, : self.remembered]
        masks = torch.cat([close_up.opening, close_up.lips, close_up.known], dim=2).flatten(0, 1)
        images = 2 * torch.cat([own, mouths.flatten(1, 2), masks], dim=1) - 1
        half = self.at_half(F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last))
        quarter = self.at_quarter(half)
        eighth = self.at_eighth(quarter) + self.audio(audio.flatten(0, 1))[..., None, None]
        up = self.to_quarter(torch.cat([_doubled(self.middle(eighth)), quarter], dim=1))
        up = self.to_half(torch.cat([_doubled(up), half], dim=1))
        full = F.leaky_relu(F.pixel_shuffle(self.to_full(up), 2), 0.2)
        out = self.last(torch.cat([full, images], dim=1)).float()
        prior = close_up.likeness.flatten(0, 1)[:, : self.remembered].clamp_min(1e-4).log()
        logits = out[:, 3:] + F.pad(prior, (1, 0), value=-2.0)[..., None, None]
        candidates = torch.cat([own[:, None], mouths], dim=1)
        weights = logits.softmax(1)[:, :, None]
        # in training a plain mean: an error of colours prefers soft pictures, and would undo what is added
        mixture = (weights * candidates).sum(1) if self.training else mixed(candidates, weights)
        picture = mixture + out[:, :3]
        drawn: Tensor = picture.unflatten(0, shape)
        return drawn


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
