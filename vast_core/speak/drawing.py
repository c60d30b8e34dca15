"""A block of faces, drawn into the frames of the avatar's footage."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..device import drawing_precision
from ..errors import WeightsError
from ..interfaces import CloseUp, Face, Renderer, RendererOutput, Scene, State, place
from ..mesh.close_up import Mouths, close_ups, traits
from ..mesh.scene import Crop, Image, as_images, erosion_radius, hull_masks, make_scene
from ..mesh.warp import with_face
from .base_clip import BaseClip

__all__ = ["Prepared", "WantedFaces", "draw", "prepare"]


@attrs.frozen(eq=False)
class WantedFaces:
    """The T faces that are to be drawn."""

    vertices: NDArray[np.float32]
    """(T, V, 3), in pixels of the footage."""
    pose: Tensor
    """(T, 3, 4), canonical to the footage's pixels."""
    expression: Tensor
    """(T, E)."""
    audio: Tensor
    """(T, A)."""


@attrs.frozen(eq=False)
class Prepared:
    """All that a renderer and the paste into the footage need of T frames."""

    scene: Scene
    under: Sequence[Image]
    """(Y, X, 3) each: what the drawn picture is pasted over."""
    crops: Sequence[Crop]
    """Where it is pasted."""


@torch.no_grad()
def prepare(
    face: Face,
    renderer: Renderer,
    base: BaseClip,
    originals: Sequence[Image],
    played: Sequence[int],
    wanted: WantedFaces,
) -> Prepared:
    """The scene of the wanted faces in the frames ``originals`` (Y, X, 3), those ``played`` of the base clip.

    This needs no result of the renderer, so it can be done while the frames before are drawn.
    """
    rows = list(played)
    before = place(base.identity + base.displacement[rows].float(), base.pose[rows]).numpy()
    if not renderer.draws_close_up:
        return Prepared(_scene(face, base, originals, before, wanted), originals, [base.crop] * len(rows))
    own = [
        with_face(frame, there, here, face)
        for frame, there, here in zip(originals, before, wanted.vertices, strict=True)
    ]
    crops = [_mouths(base).place.crop(pose) for pose in wanted.pose]
    return Prepared(_close_up_scene(face, base, originals, before, wanted, crops), own, crops)


@torch.no_grad()
def paint(renderer: Renderer, prepared: Prepared, state: State | None) -> tuple[list[Image], State]:
    """The finished frames (Y, X, 3), and the renderer's state.

    Of a renderer that draws the close-up, that is pasted over the own frame, warped at the footage's size; of another,
    its picture is pasted over the hole.
    """
    with drawing_precision(prepared.scene.audio.device):
        out: RendererOutput = renderer(prepared.scene, state)
    if not renderer.draws_close_up:
        drawn, soft = out.frames, [_feathered(hole[0].cpu().numpy()) for hole in prepared.scene.hole[0]]
    elif out.close_up is None or prepared.scene.close_up is None:
        raise TypeError(f"{type(renderer).__name__} has draws_close_up = True, but gives no close_up")
    else:
        drawn, soft = out.close_up, list(prepared.scene.close_up.region[0, :, 0].cpu().numpy())
    parts = zip(prepared.crops, prepared.under, _bytes(drawn), soft, strict=True)
    return [crop.paste(frame, picture, weight) for crop, frame, picture, weight in parts], out.state


def draw(
    face: Face,
    renderer: Renderer,
    base: BaseClip,
    originals: Sequence[Image],
    played: Sequence[int],
    wanted: WantedFaces,
    state: State | None,
) -> tuple[list[Image], State]:
    """The frames ``originals`` (Y, X, 3), those ``played`` of the base clip, with the wanted faces in them."""
    return paint(renderer, prepare(face, renderer, base, originals, played, wanted), state)


def _scene(
    face: Face,
    base: BaseClip,
    originals: Sequence[Image],
    before: NDArray[np.float32],
    wanted: WantedFaces,
) -> Scene:
    size, device = base.crop.size, wanted.audio.device
    now = base.crop.vertices(wanted.vertices)
    drawing = face.draw(now, size, base.texture.numpy())
    # the hole must cover both the face of the footage and the new face
    hull = np.maximum(hull_masks(base.crop.vertices(before), size), hull_masks(now, size))

    def batch(array: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array))[None].to(device)

    return make_scene(
        batch(np.stack([base.crop.cut(frame) for frame in originals]).transpose(0, 3, 1, 2)),
        batch(hull),
        batch(drawing.mesh),
        batch(drawing.texture),
        batch(drawing.coverage),
        wanted.audio[None],
        erosion_radius(size),
        **_geometry(base, now, wanted, device),
    )


def _geometry(base: BaseClip, now: NDArray[np.float32], wanted: WantedFaces, device: torch.device) -> dict[str, Tensor]:
    """The fields of a scene that are no pictures of the moment; ``now`` (T, V, 3) are the faces in the crop."""
    return {
        "vertices": torch.from_numpy(now)[None].to(device),
        "pose": base.crop.pose(wanted.pose)[None].to(device),
        "expression": wanted.expression[None],
        "reference": as_images(base.reference)[None].to(device),
        "reference_vertices": base.reference_vertices[None].to(device),
    }


def _close_up_scene(
    face: Face,
    base: BaseClip,
    originals: Sequence[Image],
    before: NDArray[np.float32],
    wanted: WantedFaces,
    crops: Sequence[Crop],
) -> Scene:
    """A scene of which only the close-up will be drawn, so that nothing else of it is drawn here either."""
    size, device = base.crop.size, wanted.audio.device
    black = torch.zeros((), device=device).expand(1, len(originals), 3, size, size)
    return Scene(
        background=black,
        hole=black[:, :, :1],
        mesh=black,
        texture=black,
        coverage=black[:, :, :1],
        audio=wanted.audio[None],
        **_geometry(base, base.crop.vertices(wanted.vertices), wanted, device),
        close_up=_close_up(face, base, originals, before, wanted, crops),
    )


def _close_up(
    face: Face,
    base: BaseClip,
    originals: Sequence[Image],
    before: NDArray[np.float32],
    wanted: WantedFaces,
    crops: Sequence[Crop],
) -> CloseUp:
    mouths, device = _mouths(base), wanted.audio.device
    now, then = (
        np.stack([crop.vertices(own) for crop, own in zip(crops, faces, strict=True)])
        for faces in (wanted.vertices, before)
    )
    rows = close_ups(
        face,
        mouths,
        now,
        traits(face, now, wanted.pose, mouths.place),
        [crop.cut(frame) for crop, frame in zip(crops, originals, strict=True)],
        then,
    )
    rows["place"] = mouths.place.places(base.crop.pose(wanted.pose))
    return CloseUp(**{name: value[None].to(device) for name, value in rows.items()})


def _mouths(base: BaseClip) -> Mouths:
    if base.mouths is None:
        raise WeightsError(
            f"the avatar {base.avatar} was made without mouths to remember, which its renderer needs; make it again "
            "with `vast run RECIPE --stages synthesize`"
        )
    return base.mouths


def _bytes(frames: Tensor) -> list[Image]:
    """Pictures (Y, X, 3) of the only scene of frames (1, T, 3, Y, X)."""
    return list((frames[0].float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy())


def _feathered(hole: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights (Y, X) that fall to 0 just inside the edge of the hole."""
    width = 2 * max(1, hole.shape[-1] // 64) + 1
    inner = cv2.erode(hole, np.ones((width, width), np.uint8), borderValue=0.0)
    return np.asarray(cv2.GaussianBlur(inner, (width, width), 0), np.float32)
