"""Compositing a drawn face into the hole of its background, without a seam."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vast_core.interfaces import Scene


def pull_push(image: Tensor, known: Tensor) -> Tensor:
    """Extrapolate the known pixels of ``image`` (N, C, Y, X) smoothly into the unknown ones.

    ``known`` (N, 1, Y, X) is 1 on pixels to keep and 0 on pixels to fill. Known pixels are kept exactly; if none is
    known, the result is black.

    References:
        S. J. Gortler, R. Grzeszczuk, R. Szeliski, M. F. Cohen, "The Lumigraph", SIGGRAPH 1996, section 4.
    """
    colour, weight = image * known, known
    levels = [(colour, weight)]
    while max(colour.shape[-2:]) > 1:
        colour = F.avg_pool2d(colour, 2, ceil_mode=True, count_include_pad=False)
        weight = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
        levels.append((colour, weight))
    filled = colour / weight.clamp(min=torch.finfo(weight.dtype).eps)
    for colour, weight in reversed(levels[:-1]):
        coarse = F.interpolate(filled, size=colour.shape[-2:], mode="bilinear", align_corners=False)
        filled = colour + (1 - weight) * coarse
    return filled


def feather(hole: Tensor, radius: int) -> Tensor:
    """Soften ``hole`` (N, 1, Y, X) inward: 0 outside and at its border, 1 from ``radius`` pixels inside."""
    near = F.avg_pool2d(hole, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    return hole * (2 * near - 1).clamp(min=0)


def composite(scene: Scene, texture: bool = True) -> Tensor:
    """The textured mesh over the background (B, T, 3, Y, X), with the rest of the hole filled from its surroundings.

    Without ``texture`` the mesh is omitted, and the whole hole is filled from the background.
    """
    hole = scene.hole.flatten(0, 1)
    image = scene.background.flatten(0, 1) * (1 - hole)
    known = 1 - hole
    if texture:
        drawn = hole * scene.coverage.flatten(0, 1)
        image = image + drawn * scene.texture.flatten(0, 1)
        known = known + drawn
    return pull_push(image, known).reshape(scene.background.shape)
