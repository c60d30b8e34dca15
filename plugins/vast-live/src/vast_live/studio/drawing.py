"""A picture of what a renderer has learned so far: three moments of the avatar's footage, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vast_core.console import Terminal
from vast_core.files import replacing
from vast_core.stages import StageContext
from vast_core.stages.avatar_pictures import make_avatar
from vast_core.stages.own_frames import OwnFrames

__all__ = ["draw_avatar"]

MOMENTS = 3
SIDE = 256
"""Pixels of each."""


@torch.no_grad()
def draw_avatar(run: Any, pipeline: Any, out: Path) -> None:
    """Draw ``MOMENTS`` of the avatar's longest piece with the renderer as it is, beside each other, as JPEG.

    Training is not disturbed: every step of it draws its noise from a seed of its own.
    """
    context = StageContext(run=run, pipeline=pipeline, console=Terminal(quiet=True))
    avatar, renderer = make_avatar(context), pipeline.renderer
    piece = max(avatar.of("train"), key=lambda own: own.clip.frames)
    trained = renderer.training
    renderer.eval()
    drawn = []
    try:
        for number in np.linspace(0, piece.clip.frames - 1, MOMENTS + 2).round().astype(int)[1:-1]:
            batch = avatar.batch(piece, int(number), int(number) + 1, 2, pipeline.device)
            if renderer.draws_close_up:
                batch = OwnFrames(context, avatar).added(batch, piece, int(number), int(number) + 1)
            frame = renderer(batch.scene).frames[0, 0].clamp(0, 1).mul(255).byte().permute(1, 2, 0).cpu().numpy()
            drawn.append(cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    finally:  # training goes on, even without the picture
        renderer.train(trained)
    with replacing(out) as temporary:
        temporary.write_bytes(cv2.imencode(".jpg", np.hstack(drawn)[..., ::-1])[1].tobytes())
