"""How an avatar's face and head move while it speaks, without a picture of it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..interfaces import Face
from ..mesh.motion import rest_pose, with_motion
from .base_clip import BaseClip
from .expressing import Chunk
from .lids import Lids

__all__ = ["Motion"]

Floats = NDArray[np.float32]


@attrs.frozen(kw_only=True, eq=False)
class Motion:
    """An avatar's face and head through T frames; canonical means without the pose of the head."""

    fps: float
    """Frame t is shown from t / fps seconds on."""
    wave: Floats
    """(S,): the sound, at 16 kHz."""
    expression: Floats
    """(T, E): coefficients of the face component."""
    vertices: Floats
    """(T, V, 3), canonical, with the blinks of the base clip."""
    pose: Floats
    """(T, 3, 4), canonical to image, in pixels of the base clip."""
    neutral: Floats
    """(V, 3): the avatar's neutral face, canonical."""
    own: Floats
    """(N, V, 3): the avatar's face in its base clip, canonical."""
    own_pose: Floats
    """(N, 3, 4): its pose there."""
    texture: NDArray[np.uint8]
    """(U, U, 3), RGB: the face's mean texture."""
    triangles: NDArray[np.int64]
    """(F, 3)."""
    millimetres: float
    """Millimetres per canonical unit."""
    canonical: bool
    """Whether the mesh is the core's canonical face."""

    def __len__(self) -> int:
        return len(self.vertices)


class Moving:
    """A face before its base clip, block by block."""

    def __init__(self, face: Face, base: BaseClip) -> None:
        self._face, self._base = face, base
        self._lids = Lids(face, base)

    def next(self, chunk: Chunk, played: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Canonical vertices (T, V, 3) and pose (T, 3, 4) where the frames ``played`` of the clip are shown.

        The pose is the decoder's if it moves the head, else that of the base clip.
        """
        base = self._base
        shape = self._face.settled(self._face.decode(chunk.expression.cpu(), base.identity))
        pose = base.pose[list(played)]
        if chunk.pose is not None:
            pose = with_motion(rest_pose(base.pose), chunk.pose.cpu())
        return self._lids.blinking(shape, played), pose


def motion_of(face: Face, base: BaseClip, chunks: Sequence[Chunk], wave: Floats, fps: float) -> Motion:
    """The motion of a face that speaks ``wave`` (S,) with the decoded ``chunks``."""
    moving = Moving(face, base)
    shapes, poses, at = [], [], 0
    for chunk in chunks:
        played = [number % len(base) for number in range(at, at + len(chunk.expression))]
        shape, pose = moving.next(chunk, played)
        shapes.append(shape)
        poses.append(pose)
        at += len(played)
    return Motion(
        fps=fps,
        wave=wave,
        expression=torch.cat([chunk.expression for chunk in chunks]).cpu().numpy(),
        vertices=torch.cat(shapes).numpy(),
        pose=torch.cat(poses).float().numpy(),
        neutral=base.identity.float().numpy(),
        own=(base.identity + base.displacement.float()).numpy(),
        own_pose=base.pose.float().numpy(),
        texture=base.texture.numpy(),
        triangles=face.triangles,
        millimetres=face.millimetres,
        canonical=face.template is None,
    )
