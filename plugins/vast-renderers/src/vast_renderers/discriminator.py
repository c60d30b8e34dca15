"""Multi-scale patch discriminators on frames and pairs of frames, and the adversarial losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vast_core.processes import everywhere

Views = list[list[Tensor]]
"""For each discriminator and scale, its feature maps; the last is the score map (N, 1, y, x)."""


class PatchDiscriminator(nn.Module):
    """Three stride-2 convolutions and a score for each patch (a receptive field of 38 pixels).

    Without normalisation: drawn and real frames differ in the strength of fine detail, which normalisation would
    remove.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                self._layer(channels, width),
                self._layer(width, 2 * width),
                self._layer(2 * width, 4 * width),
                nn.Conv2d(4 * width, 1, 3, padding=1),
            ]
        )

    @staticmethod
    def _layer(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Feature maps of ``image`` (N, C, Y, X), the score map (N, 1, y, x) last."""
        maps = []
        for layer in self.layers:
            image = layer(image)
            maps.append(image)
        return maps


class Discriminators(nn.Module):
    """Patch discriminators at several scales, on single frames and on pairs of consecutive frames.

    Conditional, as in pix2pix: the condition is concatenated to the input. At each scale, so is the frame's fine
    detail, ``4 (x - mean of 3x3 pixels)`` (our choice): without it they need hundreds of steps to notice that a drawn
    frame is blurred, more than a short training has.

    References:
        P. Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017;
        T.-C. Wang et al., "High-resolution image synthesis with conditional GANs", CVPR 2018 (scales, feature
        matching); T.-C. Wang et al., "Video-to-video synthesis", NeurIPS 2018 (judging consecutive frames).
    """

    def __init__(self, *, condition: int, width: int, scales: int) -> None:
        super().__init__()
        self.frames = nn.ModuleList(PatchDiscriminator(condition + 6, width) for _ in range(scales))
        self.pairs = nn.ModuleList(PatchDiscriminator(2 * (condition + 6), width) for _ in range(scales))
        self.to(memory_format=torch.channels_last)

    def forward(self, frames: Tensor, condition: Tensor) -> Views:
        """Feature maps of each discriminator for ``frames`` (B, T, 3, Y, X), given ``condition`` (B, T, C, Y, X).

        A sequence of one frame has no pairs; only the discriminators on single frames see it.
        """
        shown = torch.cat([frames, condition], dim=2)
        image = 2 * shown.flatten(0, 1).contiguous(memory_format=torch.channels_last) - 1
        views = []
        for scale, (single, pair) in enumerate(zip(self.frames, self.pairs, strict=True)):
            if scale:
                image = F.avg_pool2d(image, 2)
            face = image[:, :3]
            detail = 4 * (face - F.avg_pool2d(face, 3, stride=1, padding=1, count_include_pad=False))
            judged = torch.cat([image, detail], dim=1)
            views.append(single(judged))
            if shown.shape[1] > 1:
                sequence = judged.reshape(*shown.shape[:2], *judged.shape[1:])
                views.append(pair(torch.cat([sequence[:, :-1], sequence[:, 1:]], dim=2).flatten(0, 1)))
        return views


def least_squares(views: Views, region: Tensor, goal: float) -> Tensor:
    """Mean of ``(score - goal)^2`` over the patches, each weighted by its share of ``region`` (B, T, 1, Y, X).

    Least squares instead of hinge, because its gradient does not vanish on frames that are already classified
    correctly, which matters in a short training.

    References:
        X. Mao et al., "Least squares generative adversarial networks", ICCV 2017.
    """
    return _weighted([(view[-1].float() - goal).square() for view in views], region)


def feature_distance(drawn: Views, real: Views, region: Tensor) -> Tensor:
    """Mean absolute difference, over ``region``, between the feature maps of drawn and real frames, without the
    scores."""
    distances = [
        (mine - theirs.detach()).abs().float().mean(1, keepdim=True)
        for ours, others in zip(drawn, real, strict=True)
        for mine, theirs in zip(ours[:-1], others[:-1], strict=True)
    ]
    return _weighted(distances, region)


def _weighted(maps: Sequence[Tensor], region: Tensor) -> Tensor:
    """Mean over maps (N, 1, y, x) of frames, N = B T, or of pairs, N = B (T - 1), each averaged over its region."""
    every = region.flatten(0, 1)
    either = torch.maximum(region[:, :-1], region[:, 1:]).flatten(0, 1)
    total = region.new_zeros(())
    for values in maps:
        seen = every if len(values) == len(every) else either
        weight = F.interpolate(seen, size=values.shape[-2:], mode="area")
        total = total + everywhere((weight * values).sum()) / everywhere(weight.sum()).clamp(min=1e-6)
    return total / len(maps)


def set_trainable(parameters: Sequence[nn.Parameter], trainable: bool) -> None:
    """Enable or disable gradients of ``parameters``."""
    for parameter in parameters:
        parameter.requires_grad_(trainable)
