"""Perceptual similarity of drawn and real frames, by a pretrained network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import Measure, Metric, Performance, Sizes
from vast_core.runs import load_weights

from . import pairs
from .config import LPIPSConfig
from .perceptual_weights import Released

HEADS = Path(__file__).with_name("lpips_heads.safetensors")
"""The authors' linear heads (LPIPS 0.1, BSD-2-Clause), by backbone and layer."""
LAYERS: Mapping[str, tuple[int, ...]] = {"alexnet": (1, 4, 7, 9, 11), "vgg16": (3, 8, 15, 22, 29)}
"""Layers of a backbone that are compared: the last ReLU of each scale or block."""
_SMALLEST = 32
"""Minimum height and width in pixels for the last layer of the backbones."""


def _torchvision(backbone: str, name: str, size: str) -> Released:
    published = f"{name}_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True, weights_only=True, map_location='cpu')"
    return Released(
        what=f"torchvision's {name} trained on ImageNet (BSD-3-Clause, {size})",
        file=f"{backbone}.safetensors",
        weights=f"from torchvision.models import {name}_Weights; weights = {published}",
        unwanted=("classifier.",),
    )


BACKBONES = {"alexnet": _torchvision("alexnet", "AlexNet", "244 MB"), "vgg16": _torchvision("vgg16", "VGG16", "554 MB")}


class LPIPS(Metric):
    """Learned perceptual image patch similarity (LPIPS 0.1) over the region, from 0.

    d(x, y) = sum over layers l of the mean over the region of w_l . (x_l / |x_l| - y_l / |y_l|)^2

    with a backbone's features x_l, y_l at each position and the authors' weights w_l >= 0; then the mean over the
    frames that show the region. The region is resampled to each layer's grid by area, so for a whole frame this is the
    authors' plain mean; regions are our addition. Pictures are not resized.

    References: R. Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, 2018.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="lpips", better="lower"),)

    chunk: ClassVar[int] = 8
    """Frames per batch."""

    def __init__(self, backbone: str, weights: Path | None) -> None:
        self._backbone, self._weights = backbone, weights

    @classmethod
    def from_config(cls, config: LPIPSConfig, sizes: Sizes) -> Self:
        """Build; the weights are read on first use."""
        return cls(config.backbone, config.weights)

    @classmethod
    def files(cls, config: LPIPSConfig) -> list[Path]:
        """The weights file of the backbone, if it is found."""
        return BACKBONES[config.backbone].files(config.weights)

    @torch.no_grad()
    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """LPIPS of frames (T, 3, Y, X) in [0, 1], Y and X at least 32; 0 for an identical pair.

        Raises :class:`vast_core.errors.NotComputed` if there are no weights, and
        :class:`vast_core.errors.WeightsError` if they are damaged or belong to another network.
        """
        x, y, inside = pairs.frames(prediction, reference, "lpips")
        if min(x.shape[2:]) < _SMALLEST:
            raise ValueError(f"lpips: frames {tuple(x.shape)} are smaller than the minimum of {_SMALLEST} pixels")
        network, shown = self._network, inside.flatten(1).any(1)
        split = (torch.split(side[shown], self.chunk) for side in (x, y, inside))
        distances = torch.cat([network(a, b, where) for a, b, where in zip(*split, strict=True)])
        return {"lpips": float(distances.double().mean())}

    @cached_property
    def _network(self) -> PerceptualDistance:
        return PerceptualDistance(self._backbone, self._weights)


class PerceptualDistance(nn.Module):
    """LPIPS of pairs of frames."""

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: str, weights: Path | None = None) -> None:
        """Load backbone and heads; raises the errors of :meth:`LPIPS.__call__`."""
        super().__init__()
        with torch.device("meta"):  # its classifier, which is most of it, is not needed
            whole = getattr(torchvision.models, backbone)(weights=None)
        kept = nn.ModuleDict({"features": whole.features})
        BACKBONES[backbone].load_into(kept, weights)
        self.features: nn.Sequential = whole.features
        self._layers = LAYERS[backbone]
        heads, _ = load_weights(HEADS)
        self._heads = [heads[f"{backbone}.{place}"] for place in range(len(self._layers))]
        # ImageNet's mean and standard deviation, for pictures in [-1, 1]
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    def forward(self, x: Tensor, y: Tensor, inside: Tensor) -> Tensor:
        """Distances (T,) of frames (T, 3, Y, X) in [0, 1] over a region (T, 1, Y, X), which is never empty."""
        distance = x.new_zeros(len(x))
        for head, a, b in zip(self._heads, self._features(x), self._features(y), strict=True):
            apart = torch.einsum("tcyx,c->tyx", (_unit(a) - _unit(b)).square(), head)
            y_size, x_size = apart.shape[1:]
            share = functional.adaptive_avg_pool2d(inside.to(apart), (y_size, x_size))[:, 0]
            distance += (apart * share).sum((1, 2)) / share.sum((1, 2))
        return distance

    def _features(self, frames: Tensor) -> list[Tensor]:
        features, kept = (2 * frames - 1 - self.shift) / self.scale, []
        for place, layer in enumerate(self.features[: self._layers[-1] + 1]):
            features = layer(features)
            if place in self._layers:
                kept.append(features.clone())  # the next layer may work in place
        return kept


def _unit(features: Tensor) -> Tensor:
    """Features (T, C, Y, X) normalised to length one at each position."""
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
