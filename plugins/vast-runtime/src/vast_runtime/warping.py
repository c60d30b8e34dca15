"""Moving the pixels of a face to another expression, by a shift to the place from which each pixel comes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .crops import Crop, Floats, Image, seen_at
from .meshes import Raster

REACH, RIM = 0.18, 0.15
"""Widths, as shares of the face's extent, of the ring around it and of the rim inside its upper half in which the
movement dies away."""

GRID = 160
"""Size of the grid on which the shift of a whole frame is computed."""

STRETCH = 2.0
"""How many times wider than in the footage a pixel may become before it is no longer fully known."""

Mesh = dict[str, NDArray[Any]]
"""The tables of a packed avatar."""


class Wanted:
    """The face that a square picture shall show, to which any other face of the same mesh can be warped."""

    def __init__(self, vertices: Floats, mesh: Mesh, size: int, *, same_pose: bool = True) -> None:
        """``vertices`` (V, 3) are in pixels. If the other faces have the same pose, the skull rests."""
        self._vertices, self._mesh, self._size, self._same_pose = vertices, mesh, size, same_pose
        self._raster = Raster.of(vertices, mesh["triangles"], size)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(Y, X): where a triangle is seen."""
        return self._raster.coverage

    def shifts_from(self, faces: Sequence[Floats]) -> list[Floats]:
        """The shift (Y, X, 2) from each of several faces (V, 3): linear on triangles, smooth beyond, 0 far away."""
        moved = np.concatenate([vertices[:, :2] - self._vertices[:, :2] for vertices in faces], axis=1)
        every = _spread(self._raster.interpolate(moved), self.covered) * self._fading[..., None]
        return [np.ascontiguousarray(every[..., first : first + 2]) for first in range(0, every.shape[2], 2)]

    @cached_property
    def _fading(self) -> Floats:
        """The share of the movement that is left (Y, X)."""
        points = self._vertices[:, :2]
        extent = float(np.ptp(points, axis=0).max())
        face = self.covered.astype(np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
        outside = _smoothly(1 - cv2.distanceTransform(1 - face, cv2.DIST_L2, 5) / (REACH * extent))
        if not self._same_pose:
            return np.asarray(outside, np.float32)
        inside = _smoothly(cv2.distanceTransform(face, cv2.DIST_L2, 5) / (RIM * extent))
        eyes, lips = (points[self._mesh[part]].mean(0) for part in ("eyes", "lips"))
        down = (lips - eyes) / max(float(np.square(lips - eyes).sum()), 1e-6)
        height = (_places(*face.shape) - eyes) @ down  # 0 at the eyes, 1 at the lips
        lower = _smoothly((height - 0.2) / 0.6)
        return np.asarray(outside * (lower + (1 - lower) * inside), np.float32)


def with_face(frame: Image, before: Floats, after: Floats, mesh: Mesh) -> Image:
    """``frame`` (Y, X, 3) with its face ``before`` (V, 3) moved to ``after`` (V, 3)."""
    crop = Crop.around(after, 1 + 2.2 * REACH, GRID)
    (shift,) = Wanted(crop.vertices(after), mesh, GRID).shifts_from([crop.vertices(before)])
    return crop.moved(frame, shift)


def warped(picture: Image, shift: Floats) -> Image:
    """``picture`` (Y, X, 3) moved by a shift of the same size; its border is repeated."""
    return seen_at(picture, shift + _places(*shift.shape[:2]))


def known(shift: Floats) -> Floats:
    """How far each pixel of a warped picture can be trusted (Y, X): by how little the map stretches it."""
    across, down = np.gradient(shift, axis=1), np.gradient(shift, axis=0)
    a, b, c, d = 1 + across[..., 0], down[..., 0], across[..., 1], 1 + down[..., 1]
    smaller = (np.hypot(a + d, b - c) - np.hypot(a - d, b + c)) / 2
    return np.asarray(np.clip(STRETCH * smaller, 0, 1), np.float32)


def _smoothly(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    held = np.clip(values, 0, 1)
    return np.asarray(held * held * (3 - 2 * held))


def _spread(values: Floats, told: NDArray[np.bool_]) -> Floats:
    """Extend ``values`` (Y, X, C) smoothly from the pixels that are ``told`` (Y, X) to all others (pull-push)."""
    levels = [np.dstack([values, np.ones(told.shape, np.float32)]) * told[..., None]]
    while max(levels[-1].shape[:2]) > 1:
        rows, columns = levels[-1].shape[:2]
        even = np.pad(levels[-1], ((0, rows % 2), (0, columns % 2), (0, 0)))  # what is padded has no weight
        levels.append(cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA))
    filled = np.zeros((1, 1, values.shape[2]), np.float32)
    for number, level in reversed(list(enumerate(levels))):
        sums, weight = level[..., :-1], level[..., -1:]
        twice = (2 * filled.shape[1], 2 * filled.shape[0])
        coarse = cv2.resize(filled, twice, interpolation=cv2.INTER_LINEAR)[: level.shape[0], : level.shape[1]]
        if number == 0:
            filled = np.where(told[..., None], values, coarse)
        else:
            filled = np.where(weight > 0, sums / np.maximum(weight, np.finfo(np.float32).eps), coarse)
    return filled


@cache
def _places(rows: int, columns: int) -> Floats:
    """The place (Y, X, 2) of each pixel of a picture."""
    down, across = np.indices((rows, columns), np.float32)
    return np.stack([across, down], axis=2)
