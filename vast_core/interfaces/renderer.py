"""What a renderer is given, trains on and draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import attrs
from torch import Tensor, nn

from .decoder import State
from .objective import Objective
from .sizes import Sizes


@attrs.frozen(kw_only=True, eq=False)
class Scene:
    """What a renderer is given: the avatar's surroundings, its mesh, and what it says."""

    background: Tensor
    """(B, T, 3, Y, X): the footage, with an eroded hole of zeros where the face goes."""
    hole: Tensor
    """(B, T, 1, Y, X): 1 inside that hole."""
    mesh: Tensor
    """(B, T, 3, Y, X)."""
    texture: Tensor
    """(B, T, 3, Y, X): the avatar's mean texture drawn on the mesh."""
    coverage: Tensor
    """(B, T, 1, Y, X): 1 where the textured mesh is drawn."""
    audio: Tensor
    """(B, T, A)."""


@attrs.frozen(kw_only=True, eq=False)
class RendererBatch:
    """A training batch of consecutive frames."""

    scene: Scene
    frames: Tensor
    """(B, T, 3, Y, X): the real ones."""
    face: Tensor
    """(B, T, 1, Y, X): 1 over the face."""
    mouth: Tensor
    """(B, T, 1, Y, X): 1 over the mouth."""
    eyes: Tensor
    """(B, T, 1, Y, X): 1 over the eyes."""


@attrs.frozen(eq=False)
class RendererOutput:
    """Frames (B, T, 3, Y, X) in [0, 1] and the state for the chunk that follows."""

    frames: Tensor
    state: State


class Renderer(nn.Module, ABC):
    """Draws one avatar. Chunked equals whole, to 1e-4."""

    trainable: ClassVar[bool] = True
    """False for a renderer that only draws."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene."""

    def training_objectives(self, batch: RendererBatch, progress: float) -> Iterator[Objective]:
        """Yield the objectives of one step, in order; the core steps the optimiser between two of them.

        An adversarial game is thus the renderer's own affair. ``progress`` in [0, 1] as for the decoder.
        """
        raise TypeError(f"{type(self).__name__} has trainable = False or lacks training_objectives()")
