"""Quality of the drawn avatar: image metrics over its face on held-out clips, and the pictures of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vast_core.files import write_picture
from vast_core.interfaces import Face, Performance, RendererBatch, State
from vast_core.mesh import erosion_radius
from vast_core.speak.trained import load_renderer
from vast_core.stages import StageContext
from vast_core.stages.avatar_pictures import AvatarPictures, Piece, image_vertices, make_avatar
from vast_core.stages.own_frames import OwnFrames

from ..config import MouthPSNRConfig
from ..evaluation.tracked import mouth_boxes
from ..telltales import MouthPSNR
from .drawn_video import drawn_video
from .scores import Scores


@torch.no_grad()
def rendering(context: StageContext) -> dict[str, Any]:
    """Image metrics over the face on held-out clips: for the renderer, the nearest training frame and the plain
    mesh."""
    pipeline, avatar = context.pipeline, make_avatar(context)
    renderer = load_renderer(context.run.weights, pipeline)
    metrics = [metric for metric in pipeline.metrics if metric.needs == "frames"]
    if not any(isinstance(metric, MouthPSNR) for metric in metrics):
        metrics.append(MouthPSNR.from_config(MouthPSNRConfig(), pipeline.sizes))
    scores = {name: Scores(metrics) for name in ("ours", "nearest training frame", "textured mesh")}
    radius = erosion_radius(pipeline.sizes.image)
    nearest = NearestFrame(context, avatar)
    own_frames = OwnFrames(context, avatar) if renderer.draws_close_up else None
    pieces = avatar.of("held_out")
    rows: list[dict[str, Any]] = []
    strips: dict[str, list[Tensor]] = {"real": [], "ours": [], "nearest training frame": [], "textured mesh": []}
    for piece in pieces:
        drawn: dict[str, list[Tensor]] = {name: [] for name in strips}
        regions: list[Tensor] = []
        mouths: list[Tensor] = []
        state: State | None = None
        for start in range(0, piece.clip.frames, 32):
            stop = min(start + 32, piece.clip.frames)
            batch = avatar.batch(piece, start, stop, radius, context.device)
            if own_frames is not None:
                batch = own_frames.added(batch, piece, start, stop)
            out = renderer(batch.scene, state)
            state = out.state
            drawn["real"].append(batch.frames[0].cpu())
            drawn["ours"].append(out.frames[0].float().cpu())
            drawn["nearest training frame"].append(nearest(piece, start, stop))
            drawn["textured mesh"].append(_bare(batch))
            regions.append(batch.face[0].cpu())
            mouths.append(_mouths(pipeline.face, batch))
        videos = {name: torch.cat(parts) for name, parts in drawn.items()}
        region, mouth = torch.cat(regions), torch.cat(mouths)
        row: dict[str, Any] = {"clip": piece.clip.name}
        for name, own in scores.items():
            prediction, reference = (
                Performance(
                    face=pipeline.face,
                    fps=pipeline.sizes.fps,
                    frames=videos[v],
                    region=region,
                    mouth=mouth,
                    name=piece.clip.name,
                )
                for v in (name, "real")
            )
            row[name] = own.add(prediction, reference)
        rows.append(row)
        for name, video in videos.items():
            strips[name] += [video[i] for i in np.linspace(0, len(video) - 1, 4).astype(int)]
    if not rows:
        return {"measure": f"avatar {avatar.name} has no held-out footage, so nothing was measured"}
    _write_strips(context.run.samples, strips)
    figures: dict[str, Any] = {
        "measure": f"over the face of avatar {avatar.name}'s held-out clips, {pipeline.sizes.image} pixels wide",
        "avatar": avatar.name,
        "clips": rows,
    }
    keys = {"ours": "face", "nearest training frame": "nearest_frame", "textured mesh": "textured_mesh"}
    for name, key in keys.items():
        figures |= {f"{measure}_{key}": value for measure, value in scores[name].overall().items()}
    if moving := drawn_video(context, avatar, renderer):
        figures["video"] = moving
    if reasons := scores["ours"].not_computed:
        figures["not_computed"] = reasons
    return figures


def _mouths(face: Face, batch: RendererBatch) -> Tensor:
    """The boxes (T, 4) of the mouth in a batch of one clip."""
    vertices = batch.scene.vertices
    if vertices is None:
        raise ValueError("the batch has no vertices")
    return mouth_boxes(face, vertices[0].cpu().numpy())


def _bare(batch: RendererBatch) -> Tensor:
    """The textured mesh over the eroded background, without a network."""
    scene = batch.scene
    return (scene.background + scene.coverage * (scene.texture - scene.background))[0].cpu()


class NearestFrame:
    """Baseline without drawing: the training frame whose face vertices are nearest in the crop."""

    def __init__(self, context: StageContext, avatar: AvatarPictures) -> None:
        self._avatar = avatar

        def positions(piece: Piece) -> Tensor:
            return torch.from_numpy(piece.crop.vertices(image_vertices(context, piece.clip))[..., :2]).flatten(1)

        training = avatar.of("train")
        self._places = [(piece, frame) for piece in training for frame in range(piece.clip.frames)]
        self._positions = torch.cat([positions(piece) for piece in training])
        self._of = positions

    def __call__(self, piece: Piece, start: int, stop: int) -> Tensor:
        """Frames (T, 3, Y, X) for frames ``start`` to ``stop`` of a piece."""
        chosen = torch.cdist(self._of(piece)[start:stop], self._positions).argmin(1)
        pictures = []
        for index in chosen.tolist():
            source, frame = self._places[index]
            pictures.append(self._avatar.read(source, frame, frame + 1)["frames"][0, 0])
        return torch.stack(pictures).float() / 255


def _write_strips(folder: Path, strips: dict[str, list[Tensor]]) -> None:
    """Write a PNG for each row of the report's picture, with frames side by side."""
    for name, frames in strips.items():
        chosen = frames[:8]
        row = torch.cat(chosen, dim=2).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        write_picture(folder / f"renderer_{name.replace(' ', '_')}.png", row)
