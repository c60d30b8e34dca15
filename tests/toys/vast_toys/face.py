"""A face with a fixed basis, made of three parts: a tracker, a model and a drawer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import Drawing, Face, FaceDrawer, FaceModel, FaceTrack, FaceTracker, Sizes, unposed
from vast_core.mesh import canonical_face, rasterise, shade, vertex_normals

from .config import BLENDSHAPES, VERTICES

MESH = canonical_face()


class Blind(FaceTracker):
    """Sees no face, as its corpus brings its own tracks; it would measure how far each eye is closed."""

    coefficients: ClassVar = {"blink": 2}

    def track(self, frames: Iterable[NDArray[np.uint8]], fps: float) -> list[FaceTrack]:
        """Refuse all footage."""
        raise InputError(f"{sum(1 for _ in frames)} frames, in none of which a face is seen")


class SixMotions(FaceModel):
    """x = identity + sum_k e_k b_k, with b_k smooth bumps (centimetres): nothing to learn.

    The last coefficient closes the eyes: it is the mean of ``blink`` where the tracker has measured that.
    """

    fits: ClassVar = False
    template = MESH.vertices.copy()
    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.triangles, self.lips = MESH.triangles.copy(), MESH.lips.copy()
        self.upper_face, self.eyes = MESH.upper_face.copy(), np.union1d(MESH.eye_left, MESH.eye_right)
        self.millimetres = 10.0
        self.register_buffer("basis", torch.tensor(_bumps(), dtype=torch.float32))

    def identity(self, tracks: Sequence[FaceTrack]) -> NDArray[np.float32]:
        """Median (V, 3) of all valid frames."""
        return np.median(np.concatenate([unposed(t).numpy()[t.valid] for t in tracks]), axis=0).astype(np.float32)

    def encode(self, track: FaceTrack, identity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Least squares (T, E)."""
        moved = (unposed(track).double().numpy() - identity).reshape(len(track), -1)
        found = moved @ np.linalg.pinv(self.basis.cpu().double().numpy().reshape(BLENDSHAPES, -1))
        if "blink" in track.coefficients:
            found[:, -1] = track.coefficients["blink"].mean(1)
        return found.astype(np.float32)

    def decode(self, expression: Tensor, identity: Tensor) -> Tensor:
        """Vertices (..., V, 3)."""
        return identity + torch.einsum("...e,evc->...vc", expression, self.basis.to(expression.dtype))

    def lip_opening(self, vertices: Tensor) -> Tensor:
        """Inner lips over outer eye corners (...,)."""
        (upper, lower), (right, left) = MESH.inner_lip_pair.tolist(), MESH.eye_corners.tolist()
        opening = torch.linalg.vector_norm(vertices[..., upper, :] - vertices[..., lower, :], dim=-1)
        ratio: Tensor = opening / torch.linalg.vector_norm(vertices[..., right, :] - vertices[..., left, :], dim=-1)
        return ratio


class Grey(FaceDrawer):
    """Draws a shaded mesh in the mean colour of the face."""

    def unwrap(self, frames: Iterable[NDArray[np.uint8]], vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """One colour (16, 16, 3)."""
        places = vertices[:, :, :2].round().astype(int)
        colours = [
            frame[np.clip(at[:, 1], 0, len(frame) - 1), np.clip(at[:, 0], 0, frame.shape[1] - 1)].mean(0)
            for frame, at in zip(frames, places, strict=True)
        ]
        return np.broadcast_to(np.mean(colours, axis=0).round().astype(np.uint8), (16, 16, 3)).copy()

    def draw(self, vertices: NDArray[np.float32], size: int, texture: NDArray[np.uint8] | None = None) -> Drawing:
        """Mesh, texture and coverage of each frame."""
        meshes, textures, coverages = [], [], []
        for points in vertices:
            raster = rasterise(points, MESH.triangles, (size, size))
            grey = np.rint(255 * shade(raster, MESH.triangles, vertex_normals(points, MESH.triangles))).astype(np.uint8)
            covered = (raster.triangle >= 0)[None]
            meshes.append(np.broadcast_to(grey, (3, size, size)))
            colour = None if texture is None else texture[0, 0][:, None, None] * covered
            textures.append(meshes[-1] if colour is None else colour.astype(np.uint8))
            coverages.append(255 * covered.astype(np.uint8))
        return Drawing(mesh=np.stack(meshes), texture=np.stack(textures), coverage=np.stack(coverages))


class Blendshapes(Blind, SixMotions, Grey, Face):
    """The three parts as one component."""

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """There is nothing to choose."""
        return cls()


def _bumps() -> NDArray[np.float64]:
    """(E, V, 3): jaw down, corners apart, corners up, lips forward, brows up, lids down."""
    shape, lips = MESH.vertices, MESH.vertices[MESH.lips]
    below, middle = lips[lips[:, 1] < lips[:, 1].mean()].mean(0), lips.mean(0)
    left, right = lips[lips[:, 0].argmin()], lips[lips[:, 0].argmax()]
    brows = [shape[MESH.brows][:, 0].argmin(), shape[MESH.brows][:, 0].argmax()]

    def bump(centre: NDArray[Any], *direction: float) -> NDArray[np.float64]:
        away = np.linalg.norm(shape - centre, axis=1)
        weight: NDArray[np.float64] = np.exp(-0.5 * (away / 1.8) ** 2)[:, None] * np.array(direction)
        return weight

    eyes = [shape[eye].mean(0) for eye in (MESH.eye_left, MESH.eye_right)]
    found = [
        bump(below, 0, -1, 0),
        bump(left, -1, 0, 0) + bump(right, 1, 0, 0),
        bump(left, 0, 1, 0) + bump(right, 0, 1, 0),
        bump(middle, 0, 0, 1),
        sum(bump(shape[MESH.brows][at], 0, 1, 0) for at in brows),
        bump(eyes[0], 0, -0.5, 0) + bump(eyes[1], 0, -0.5, 0),
    ]
    return np.stack(found).reshape(BLENDSHAPES, VERTICES, 3)
