"""Train the renderer of one avatar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..interfaces import CloseUp, RendererBatch, Scene
from ..mesh.scene import erosion_radius
from ..processes import leads, once
from ..registry.core_stages import RendererStage
from ..runs.weights import save_weights
from ..speak.trained import load_face, load_style
from ..training.loop import Trainer
from ..training.parts import Part
from .avatar_pictures import AvatarPictures, Piece, choose_avatar, make_avatar, trained_audio
from .context import StageContext
from .own_frames import OwnFrames

SOFT = 1.5
"""How many times as many pixels as a close-up has the footage may show, before a message says that detail is lost."""


def inputs(context: StageContext) -> dict[str, Any]:
    """Inputs of the renderer stage."""
    return {
        "prepared": context.key("prepare"),
        "audio": trained_audio(context),
        **context.component_inputs("renderer"),
        "seed": context.recipe.seed,
    }


class Sequences:
    """Draws training batches of consecutive frames; the batch depends only on seed and step."""

    def __init__(self, context: StageContext, avatar: AvatarPictures) -> None:
        self._context, self._avatar = context, avatar
        self._own = OwnFrames(context, avatar) if context.pipeline.renderer.draws_close_up else None
        self._settings = context.options("renderer", RendererStage)
        self._pieces = [piece for piece in avatar.of("train") if piece.clip.frames >= self._settings.frames]
        if not self._pieces:
            longest = max((piece.clip.frames for piece in avatar.of("train")), default=0)
            raise InputError(
                f"avatar {avatar.name}: its longest training clip has {longest} frames, but a training sequence has "
                f"{self._settings.frames} (stages.renderer.frames); add footage or shorten the sequence"
            )
        frames = np.array([piece.clip.frames for piece in self._pieces], float)
        self._chances = frames / frames.sum()

    def __call__(self, step: int, part: Part) -> RendererBatch:
        """A part of the batch of a step."""
        chance = np.random.default_rng((self._context.run.recipe.seed, step, 1))
        length, size = self._settings.frames, self._context.pipeline.sizes.image
        drawn = []
        for index in chance.choice(len(self._pieces), self._settings.batch, p=self._chances):
            piece = self._pieces[index]
            start = int(chance.integers(0, piece.clip.frames - length + 1))
            radius = erosion_radius(size, chance)
            own = None if self._own is None else self._own.sources(piece, start, start + length, chance)
            drawn.append((piece, start, radius, own))
        return _joined([self._row(*row) for row in drawn[part.rows(len(drawn), "stages.renderer.batch")]])

    def _row(self, piece: Piece, start: int, radius: int, own: NDArray[np.int64] | None) -> RendererBatch:
        """One row of a batch, with close-ups of the frames ``own``."""
        stop = start + self._settings.frames
        row = self._avatar.batch(piece, start, stop, radius, self._context.device)
        return row if self._own is None else self._own.added(row, piece, start, stop, own)


Tensors = TypeVar("Tensors", RendererBatch, Scene, CloseUp)


def _joined(parts: Sequence[Tensors]) -> Tensors:
    """Parts of a batch as one; a field that is None is None in all of them."""
    fields: dict[str, Any] = {}
    for field in attrs.fields(type(parts[0])):
        values = [getattr(part, field.name) for part in parts]
        joined = torch.cat if isinstance(values[0], Tensor) else _joined
        fields[field.name] = None if values[0] is None else joined(values)
    return type(parts[0])(**fields)


def run(context: StageContext) -> list[Path]:
    """Train and write ``weights/renderer.safetensors``."""
    load_face(context.run.weights, context.pipeline)
    if trained_audio(context) is not None:
        load_style(context.run.weights, context.pipeline)
    context.pipeline.to(context.device)
    once(lambda: make_avatar(context).name)
    avatar, model = make_avatar(context), context.pipeline.renderer
    context.console.print(f"avatar: {avatar.name}")
    if model.draws_close_up:
        compare_sizes(context, avatar)
    if model.trainable:
        trainer = Trainer(
            run=context.run,
            stage="renderer",
            key=context.key("renderer"),
            model=model,
            settings=context.options("renderer", RendererStage),
            batch_at=Sequences(context, avatar),
            objectives=model.training_objectives,
            device=context.device,
            console=context.console,
            betas=(0.5, 0.99),  # less momentum than usual, because the discriminator changes, too
        )
        trainer.fit(context.resume)
    if not leads():
        return []
    path = context.run.weights / "renderer.safetensors"
    header = {
        "what": "renderer",
        "recipe": context.key("renderer"),
        "avatar": choose_avatar(context),
        **context.run.made_of(),
        "sizes": context.pipeline.sizes.known(),
    }
    save_weights(path, model.state_dict(), header)
    return [path]


def compare_sizes(context: StageContext, avatar: AvatarPictures) -> None:
    """Say so if the footage shows the mouth with far more pixels than it is drawn with."""
    drawn, shown = context.pipeline.sizes.image, avatar.close_up_side
    if shown > SOFT * drawn:
        context.console.print(
            f"the footage shows the mouth with {shown:.0f} pixels, but it is drawn with {drawn}, so it will be softer "
            f"than the face around it; renderer.size={-int(-shown // 32) * 32} keeps its detail, and takes longer",
            style="yellow",
        )
