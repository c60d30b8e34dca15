"""A renderer without training, for previews."""

from __future__ import annotations

from typing import ClassVar, Self

from vast_core.interfaces import Renderer, RendererOutput, Scene, Sizes, State

from .compositing import composite
from .config import MeshConfig


class MeshRenderer(Renderer):
    """The textured mesh over the background; the rest of the hole, including an open mouth, is filled smoothly.

    Without a texture, the scene's ``texture`` is the shaded mesh, and that is drawn. It has no parameters and no state:
    each frame is drawn independently. Our choice, for previews and as the baseline that training must beat.
    """

    trainable: ClassVar[bool] = False

    @classmethod
    def from_config(cls, config: MeshConfig, sizes: Sizes) -> Self:
        """Build the renderer; only the size of scenes depends on the config."""
        return cls()

    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene."""
        return RendererOutput(composite(scene).clamp(0, 1), {})
