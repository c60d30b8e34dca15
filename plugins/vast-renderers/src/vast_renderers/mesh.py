"""A renderer without training, for previews."""

from __future__ import annotations

from typing import ClassVar, Self

from vast_core.interfaces import Renderer, RendererOutput, Scene, Sizes, State
from vast_core.mesh import paste_close_up

from .config import MeshConfig
from .detail import mixed
from .own_frame import parts


class MeshRenderer(Renderer):
    """The moment's own frame, warped to the mesh, with the most similar remembered mouths over its own.

    It has no parameters and no state: each frame is drawn independently. Our choice, for previews and as the baseline
    that training must beat.
    """

    trainable: ClassVar[bool] = False
    draws_close_up: ClassVar[bool] = True

    @classmethod
    def from_config(cls, config: MeshConfig, sizes: Sizes) -> Self:
        """Build the renderer; only the size of scenes depends on the config."""
        return cls()

    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene, and their close-ups."""
        own, close_up = parts(scene)
        mouth = mixed(close_up.remembered, close_up.likeness[..., None, None, None])
        picture = close_up.own + close_up.region * (mouth - close_up.own)
        frames = paste_close_up(own, picture, close_up.region, close_up.place)
        return RendererOutput(frames.clamp(0, 1), {}, picture.clamp(0, 1))
