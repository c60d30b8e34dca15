"""A renderer without training, for previews."""

from __future__ import annotations

from typing import ClassVar, Self

from vast_core.interfaces import Renderer, RendererOutput, Scene, Sizes, State

from .config import MeshConfig
from .detail import mixed
from .own_frame import close_up_of, shown


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
        close_up = close_up_of(scene)
        mouth = mixed(close_up.remembered, close_up.likeness[..., None, None, None])
        picture = close_up.own + close_up.region * (mouth - close_up.own)
        return shown(scene, picture.clamp(0, 1))
