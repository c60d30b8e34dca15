"""Moving the pixels of a tracked face to another expression, by a backward map.

A backward map says for each pixel of the new picture from where in the footage it comes. It is given as a shift: that
place minus the pixel's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from ..interfaces import Face
from .rasterise import Raster, interpolate, rasterise
from .scene import Crop, Image

Shift = NDArray[np.float32]
"""(Y, X, 2): right and down, in pixels."""

REACH, HEAD = 0.18, 0.8
"""Width of the ring around the face in which the movement dies away, as a share of the face's extent: if the expression
moves, and if the head does, with hair and ears."""

RIM = 0.15
"""Width of the rim, inside the upper half of the face, in which it dies away, as a share of the face's extent."""

GRID = 160
"""Size of the grid on which the shift of a whole frame is computed."""

STRETCH = 2.0
"""How many times wider than in the footage a pixel may become before it is no longer fully known."""


@attrs.frozen(eq=False, slots=False)
class Wanted:
    """The face that a square picture shall show, with which any other face of the same mesh can be warped to it."""

    vertices: NDArray[np.float32]
    """(V, 3), in pixels of the picture."""
    face: Face
    """Whose mesh it is."""
    size: int
    """Y = X."""
    same_pose: bool = True
    """Whether the other faces have the same pose. If so, only expression moves, and the skull rests."""
    reach: float = REACH
    """Width of the ring around the face in which the movement dies away, as a share of the face's extent."""

    def shift_from(self, vertices: NDArray[np.floating[Any]]) -> Shift:
        """The shift of a picture whose face is ``vertices`` (V, 3) to this face.

        On the face it is linear on each triangle. In holes, such as an open mouth, it is interpolated smoothly; around
        the face it is extrapolated and dies away, so that nothing moves beyond ``reach`` times the face's extent. With
        the same pose, it dies away at the rim of the upper half already: a skull does not move with the expression, so
        that what a tracker sees there is error, and would move hair and ears.
        """
        return self.shifts_from([vertices])[0]

    def shifts_from(self, faces: Sequence[NDArray[np.floating[Any]]]) -> list[Shift]:
        """The shift from each of several faces, faster than one by one."""
        moved = [np.asarray(vertices, np.float32)[:, :2] - self.vertices[:, :2] for vertices in faces]
        drawn = interpolate(self._raster, self.face.triangles, np.concatenate(moved, axis=1))
        every = _spread(drawn, self._raster.coverage) * self._fading[..., None]
        return [np.ascontiguousarray(every[..., first : first + 2]) for first in range(0, every.shape[2], 2)]

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(Y, X): where a triangle is seen."""
        return self._raster.coverage

    @cached_property
    def _raster(self) -> Raster:
        return rasterise(self.vertices, self.face.triangles, (self.size, self.size))

    @cached_property
    def _fading(self) -> NDArray[np.float32]:
        """The share of the movement that is left (Y, X)."""
        extent = float(np.ptp(self.vertices[:, :2], axis=0).max())
        face = self._raster.coverage.astype(np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(np.rint(self.vertices[:, :2]).astype(np.int32)), 1)
        outside = _smoothly(1 - cv2.distanceTransform(1 - face, cv2.DIST_L2, 5) / (self.reach * extent))
        if not self.same_pose:
            return np.asarray(outside, np.float32)
        inside = _smoothly(cv2.distanceTransform(face, cv2.DIST_L2, 5) / (RIM * extent))
        eyes, lips = (self.vertices[part, :2].mean(0) for part in (self.face.eyes, self.face.lips))
        down = (lips - eyes) / max(float(np.square(lips - eyes).sum()), 1e-6)
        height = (_places(*face.shape) - eyes) @ down  # 0 at the eyes, 1 at the lips
        lower = _smoothly((height - 0.2) / 0.6)
        return np.asarray(outside * (lower + (1 - lower) * inside), np.float32)


def _smoothly(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """From 0 to 1 as the value goes from 0 to 1, level at both ends."""
    held = np.clip(values, 0, 1)
    return np.asarray(held * held * (3 - 2 * held))


def _spread(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Extend ``values`` (Y, X, C) smoothly from the pixels that are ``known`` (Y, X) to all others.

    References:
        S. J. Gortler, R. Grzeszczuk, R. Szeliski, M. F. Cohen, "The Lumigraph", SIGGRAPH 1996, section 4 (pull-push).
    """
    weighted = np.empty((*known.shape, values.shape[2] + 1), np.float32)
    np.multiply(values, known[..., None], out=weighted[..., :-1])
    weighted[..., -1] = known
    levels = [weighted]
    while max(levels[-1].shape[:2]) > 1:
        rows, columns = levels[-1].shape[:2]
        even = levels[-1]
        if rows % 2 or columns % 2:
            even = np.pad(even, ((0, rows % 2), (0, columns % 2), (0, 0)))  # what is padded has no weight
        smaller = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
        levels.append(smaller)
    filled = np.zeros((1, 1, values.shape[2]), np.float32)
    for level in reversed(levels):
        sums, weight = level[..., :-1], level[..., -1:]
        twice = (2 * filled.shape[1], 2 * filled.shape[0])
        coarse = cv2.resize(filled, twice, interpolation=cv2.INTER_LINEAR)[: level.shape[0], : level.shape[1]]
        filled = np.where(known[..., None], values, coarse) if level is weighted else _filled(sums, weight, coarse)
    return filled


def _filled(sums: NDArray[np.float32], weight: NDArray[np.float32], coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean where a pixel has any weight, else the coarser level."""
    mean = sums / np.maximum(weight, np.finfo(np.float32).eps)
    return np.where(weight > 0, mean, coarse)


def known(shift: Shift) -> NDArray[np.float32]:
    """How far each pixel of a warped picture can be trusted (Y, X), from 0 to 1.

    ``min(1, s / s0)``, where s is the smaller singular value of the map's Jacobian, negative where the map folds:
    how many pixels of the footage there are for one of the picture. Below ``s0 = 1 / STRETCH`` detail is lost.
    """
    across, down = np.gradient(shift, axis=1), np.gradient(shift, axis=0)
    a, b, c, d = 1 + across[..., 0], down[..., 0], across[..., 1], 1 + down[..., 1]
    smaller = (np.hypot(a + d, b - c) - np.hypot(a - d, b + c)) / 2
    return np.asarray(np.clip(STRETCH * smaller, 0, 1), np.float32)


def with_face(
    frame: Image, before: NDArray[np.float32], after: NDArray[np.float32], face: Face, same_pose: bool = True
) -> Image:
    """``frame`` (Y, X, 3), at its own resolution, with its face ``before`` (V, 3) moved to ``after`` (V, 3).

    If the pose is not the same, the head moves along.
    """
    reach = REACH if same_pose else HEAD
    crop = Crop.around(after[None], 1 + 2.2 * reach, GRID)
    wanted = Wanted(crop.vertices(after), face, GRID, same_pose, reach)
    return crop.moved(frame, wanted.shift_from(crop.vertices(before)))


def warped(picture: Image, shift: Shift) -> Image:
    """``picture`` (Y, X, 3) moved by a shift of the same size; its border is repeated."""
    there = shift + _places(*shift.shape[:2])
    fixed = cv2.convertMaps(there, None, cv2.CV_16SC2)  # what remap does as well, but slower
    return np.asarray(cv2.remap(picture, *fixed, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


@cache
def _places(rows: int, columns: int) -> Shift:
    """The place of each pixel of a picture."""
    down, across = np.indices((rows, columns), np.float32)
    return np.stack([across, down], axis=2)
