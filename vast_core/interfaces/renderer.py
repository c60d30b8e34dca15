"""Inputs, training batches and outputs of renderers."""

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
class CloseUp:
    """The mouth, enlarged to the size of the scene's pictures, and what the avatar's footage knows of it.

    Its square follows the head, not the lips, so that it does not tremble when they move.
    """

    place: Tensor
    """(B, T, 3): x and y of the square's corner, and its side, in pixels of the scene's pictures."""
    own: Tensor
    """(B, T, 3, Y, X): the moment's own frame, warped to the face that is to be drawn."""
    known: Tensor
    """(B, T, 1, Y, X) in [0, 1]: 0 where the warp cannot know: where it folds or stretches, and in the open mouth."""
    remembered: Tensor
    """(B, T, K, 3, Y, X): mouths of other frames with such lips in such a pose, warped to the lips that are to be
    drawn, in the colour of ``own``; the most similar first."""
    likeness: Tensor
    """(B, T, K): how much each of them counts; sum 1."""
    lips: Tensor
    """(B, T, 1, Y, X): 1 over the lips and between them."""
    opening: Tensor
    """(B, T, 1, Y, X): 1 between the lips."""
    region: Tensor
    """(B, T, 1, Y, X): weight, falling to 0 around the lips, with which a drawn close-up covers ``own``."""


@attrs.frozen(kw_only=True, eq=False)
class Scene:
    """Inputs of a renderer: the avatar's background, its mesh and its audio features."""

    background: Tensor
    """(B, T, 3, Y, X): the footage, with an eroded hole of zeros at the place of the face."""
    hole: Tensor
    """(B, T, 1, Y, X): 1 inside the hole."""
    mesh: Tensor
    """(B, T, 3, Y, X)."""
    texture: Tensor
    """(B, T, 3, Y, X): the avatar's mean texture drawn on the mesh."""
    coverage: Tensor
    """(B, T, 1, Y, X): 1 where the textured mesh is drawn."""
    audio: Tensor
    """(B, T, A)."""
    vertices: Tensor | None = None
    """(B, T, V, 3): the face, in pixels of these pictures. This field and those below are for renderers that warp or
    splat; vast always gives them."""
    pose: Tensor | None = None
    """(B, T, 3, 4): canonical to pixels of these pictures."""
    expression: Tensor | None = None
    """(B, T, E)."""
    reference: Tensor | None = None
    """(B, 3, Y, X): the avatar's most neutral frame, the same in all its scenes."""
    reference_vertices: Tensor | None = None
    """(B, V, 3): the face in ``reference``, in its pixels."""
    own: Tensor | None = None
    """(B, T, 3, Y, X): the moment's own frame, whole, warped to the face that is to be drawn. This field and the next
    are only for renderers that draw the close-up. It is None if only the close-up is wanted."""
    close_up: CloseUp | None = None


@attrs.frozen(kw_only=True, eq=False)
class RendererBatch:
    """A training batch of consecutive frames."""

    scene: Scene
    frames: Tensor
    """(B, T, 3, Y, X): the real frames."""
    face: Tensor
    """(B, T, 1, Y, X): 1 over the face."""
    mouth: Tensor
    """(B, T, 1, Y, X): 1 over the mouth."""
    eyes: Tensor
    """(B, T, 1, Y, X): 1 over the eyes."""
    close_up: Tensor | None = None
    """(B, T, 3, Y, X): the real mouth in the close-up's square, if the scene has a close-up."""


@attrs.frozen(eq=False)
class RendererOutput:
    """Frames (B, T, 3, Y, X) in [0, 1] and the state for the next chunk."""

    frames: Tensor
    state: State
    close_up: Tensor | None = None
    """(B, T, 3, Y, X) in [0, 1]: the drawn close-up, of renderers that draw it; ``frames`` shows it, too."""


class Renderer(nn.Module, ABC):
    """Draws one avatar. The result in chunks equals that of the whole clip to 1e-4."""

    trainable: ClassVar[bool] = True
    """False for a renderer without training."""
    draws_close_up: ClassVar[bool] = False
    """Whether it draws the mouth alone, over the moment's own frame.

    Of such a renderer, only the close-up is pasted into the footage, over the own frame warped at the footage's size.
    While an avatar speaks, its scenes therefore have no ``own``, and ``background``, ``hole``, ``mesh``, ``texture``
    and ``coverage`` are zeros, which saves the drawing of them; its close-up must not depend on these, and its
    ``frames`` may be anything then. Of others the whole hole is pasted, and their scenes have no ``own`` and no
    ``close_up``.
    """

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene."""

    def training_objectives(self, batch: RendererBatch, progress: float) -> Iterator[Objective]:
        """Yield the objectives of one step, in order; the core steps the optimiser after each.

        So a renderer can train adversarially. ``progress`` in [0, 1] is the completed share of training.
        """
        raise TypeError(f"{type(self).__name__} has trainable = False or lacks training_objectives()")
