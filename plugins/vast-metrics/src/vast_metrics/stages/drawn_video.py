"""The avatar in its own held-out footage with another moment's expression, as when it speaks, at the footage's size.

There is no true picture of this, but there is of everything that must not change: how sharp the face is, what is around
it, and how calm it is.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.interfaces import Performance, Renderer, State, place
from vast_core.mesh import Crop, Image, hull_masks
from vast_core.speak.base_clip import BaseClip, Video
from vast_core.speak.drawing import WantedFaces, draw
from vast_core.stages import StageContext
from vast_core.stages.avatar_pictures import AvatarPictures, Piece, as_base, footage_of, image_vertices

from ..config import DetailConfig, FlickerConfig, RingConfig
from ..evaluation.tracked import mouth_boxes, stacked
from ..telltales import Detail, Flicker, Ring
from .scores import Scores

LATER = 25
"""Frames between a moment and that whose expression it is given."""

MOST_FRAMES, MOST_PIXELS, BLOCK = 120, 512, 16
"""Frames of a clip that are drawn, largest side of the pictures that are measured, and frames drawn at once."""


def drawn_video(context: StageContext, avatar: AvatarPictures, renderer: Renderer) -> dict[str, Any]:
    """Detail, ring and flicker over the held-out clips; empty if there are none that are long enough."""
    sizes = context.pipeline.sizes
    scores = Scores(
        (
            Detail.from_config(DetailConfig(), sizes),
            Ring.from_config(RingConfig(), sizes),
            Flicker.from_config(FlickerConfig(), sizes),
        )
    )
    pieces = [piece for piece in avatar.of("held_out") if piece.clip.frames > LATER]
    for piece in pieces:
        real, drawn = _both(context, avatar, piece, renderer)
        scores.add(drawn, real)
    if not pieces:
        return {}
    figures: dict[str, Any] = {
        "measure": "held-out clips with the expression of a second later, as when the avatar speaks; beside the clip "
        f"itself, at its own size (at most {MOST_PIXELS} pixels)",
        **scores.overall(),
    }
    return figures


def _both(
    context: StageContext, avatar: AvatarPictures, piece: Piece, renderer: Renderer
) -> tuple[Performance, Performance]:
    """A clip as it is, and drawn with other expressions."""
    face, length = context.pipeline.face, min(piece.clip.frames, MOST_FRAMES)
    originals = [frame for frame, _ in zip(footage_of(context, piece.clip), range(length), strict=False)]
    size = (originals[0].shape[0], originals[0].shape[1])
    base = as_base(context, avatar, piece, Video(digest="", size=size))
    others = (np.arange(length) + LATER) % piece.clip.frames
    expression = context.store.read(piece.clip, "expression", 0, piece.clip.frames)[others]
    audio = context.store.features(piece.clip, context.pipeline.audio, 0, piece.clip.frames)[others]
    vertices = _reacted(context, base, expression)
    drawn: list[Image] = []
    state: State | None = None
    for start in range(0, length, BLOCK):
        rows = slice(start, min(start + BLOCK, length))
        wanted = WantedFaces(
            vertices[rows],
            base.pose[rows],
            expression[rows].to(context.device),
            audio[rows].to(context.device),
        )
        pictures, state = draw(face, renderer, base, originals[rows], range(length)[rows], wanted, state)
        drawn += pictures
    before = image_vertices(context, piece.clip)[:length]
    crop = attrs.evolve(piece.crop, size=max(64, min(MOST_PIXELS, round(piece.crop.side))))
    real = _performance(context, crop, originals, before)
    return real, attrs.evolve(_performance(context, crop, drawn, vertices), region=real.region)


def _reacted(context: StageContext, base: BaseClip, expression: Tensor) -> NDArray[np.float32]:
    """The face (T, V, 3), in pixels, with expressions (T, E) of other frames but its own lids."""
    face, length = context.pipeline.face, len(expression)
    shape = face.decode(expression, base.identity)
    shape[:, face.eyes] = (base.identity + base.displacement[:length].float())[:, face.eyes]
    return np.asarray(place(shape, base.pose[:length]).numpy())


def _performance(context: StageContext, crop: Crop, frames: list[Image], vertices: NDArray[np.float32]) -> Performance:
    face, seen = context.pipeline.face, crop.vertices(vertices)
    return Performance(
        face=face,
        fps=context.pipeline.sizes.fps,
        frames=stacked([crop.cut(frame) for frame in frames]),
        region=torch.from_numpy(hull_masks(seen, crop.size)).float(),
        mouth=mouth_boxes(face, seen),
    )
