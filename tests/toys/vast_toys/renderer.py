"""A renderer that draws no mesh: it warps the reference picture onto the face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import Objective, Renderer, RendererBatch, RendererOutput, Scene, Sizes, State


class Warp(Renderer):
    """frame = background + hole (W + c(W)), with W the reference under the affine map of its face onto this one.

    The map is that of least squares between the vertices; c is a convolution that learns with its own optimiser.
    """

    def __init__(self) -> None:
        super().__init__()
        self.correct = nn.Conv2d(3, 3, 3, padding=1)
        nn.init.zeros_(self.correct.weight)

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """Make one."""
        return cls()

    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene."""
        return RendererOutput(self._drawn(scene).clamp(0, 1), {})

    def training_objectives(self, batch: RendererBatch, progress: float) -> Iterator[Objective]:
        """One: the distance from the real frames inside the hole."""
        loss = ((self._drawn(batch.scene) - batch.frames).abs() * batch.scene.hole).mean()
        yield Objective("picture", loss, list(self.parameters()), {"l1": loss.detach()}, optimiser=self._optimiser)

    def _optimiser(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Weight and bias at rates of their own."""
        rates = zip(parameters, (1e-2, 5e-2), strict=True)
        return torch.optim.Adam([{"params": [parameter], "lr": rate} for parameter, rate in rates])

    def _drawn(self, scene: Scene) -> Tensor:
        warped = self._warped(scene)
        correction = self.correct(warped.flatten(0, 1)).float().unflatten(0, warped.shape[:2])
        return scene.background + scene.hole * (warped + correction)

    @staticmethod
    def _warped(scene: Scene) -> Tensor:
        """The reference (B, T, 3, Y, X), moved with the face."""
        if scene.vertices is None or scene.reference is None or scene.reference_vertices is None:
            raise ValueError("the scene has no vertices or no reference")
        now, then = scene.vertices[..., :2].float(), scene.reference_vertices[:, None, :, :2].float()
        middle, start = now.mean(2, keepdim=True), then.mean(2, keepdim=True)
        spread = (now - middle).mT @ (now - middle) + torch.eye(2, device=now.device)
        back = torch.linalg.solve(spread, (now - middle).mT @ (then - start)).mT
        size = scene.hole.shape[-1]
        axis = torch.arange(size, device=now.device, dtype=torch.float32)
        pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(1, 1, -1, 2)
        source = (pixels - middle) @ back.mT + start  # (B, T, Y * X, 2)
        grid = ((2 * source + 1) / size - 1).view(*now.shape[:2], size, size, 2).flatten(0, 1)
        pictures = scene.reference[:, None].expand(-1, now.shape[1], -1, -1, -1).flatten(0, 1)
        warped = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return warped.unflatten(0, now.shape[:2])
