"""Which triangle of a mesh is seen at which pixel, and how it is shaded and textured.

(0, 0) is the centre of the upper left pixel. Vertices have x to the right, y down, and z away from the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

_ON_EDGE, _FLAT = 1e-4, 1e-6
"""Distance in pixels at which a pixel's centre counts as on an edge; area below which a triangle is seen edge-on."""

LIGHT, AMBIENT = (0.2, -0.3, -1.0), 0.15
"""Where the light comes from, and the brightness without it."""


@dataclass(frozen=True, eq=False)
class Raster:
    """The triangle that is seen at each pixel."""

    triangles: Indices
    """(F, 3)."""
    drawn: NDArray[np.int32]
    """(Y, X): index of the triangle in front, -1 if there is none."""
    weights: Floats
    """(Y, X, 3): weights of its corners."""

    @classmethod
    def of(cls, vertices: Floats, triangles: Indices, size: int) -> Raster:
        """Draw triangles (F, 3) of vertices (V, 3) on a square of ``size`` pixels, the farthest first."""
        corners = np.asarray(vertices, np.float64)[triangles]
        planes, area = _planes(corners[..., :2])
        order = np.flatnonzero(area > _FLAT)
        order = order[np.argsort(-corners[order, :, 2].sum(1), kind="stable")]
        drawn = _painted(order, corners[..., :2], planes, size)
        return cls(triangles, drawn, _weights(drawn, corners[:, 0, :2], planes))

    @property
    def coverage(self) -> NDArray[np.bool_]:
        """(Y, X): where a triangle is seen."""
        return self.drawn >= 0

    def interpolate(self, values: NDArray[np.floating[Any]]) -> Floats:
        """Values (V, C) of vertices at each pixel: (Y, X, C), 0 where there is no triangle."""
        pixels = np.flatnonzero(self.drawn >= 0)
        corners = self.triangles[self.drawn.ravel()[pixels]]
        weights, values = self.weights.reshape(-1, 3)[pixels], np.asarray(values, np.float32)
        image = np.zeros((self.drawn.size, values.shape[1]), np.float32)
        image[pixels] = sum(values[corners[:, k]] * weights[:, k : k + 1] for k in range(3))
        return image.reshape(*self.drawn.shape, -1)

    def shaded(self, vertices: Floats) -> Floats:
        """Brightness (Y, X) of a matt surface, smooth across triangles (Lambert, Phong); 0 without a triangle."""
        normals = self.interpolate(_normals(vertices, self.triangles))
        light = np.asarray(LIGHT, np.float32)
        light /= np.linalg.norm(light)
        length = np.sqrt(np.einsum("yxc,yxc->yx", normals, normals))
        cosine = np.divide(normals @ light, length, out=np.zeros_like(length), where=length > 1e-6)
        bright = AMBIENT + (1 - AMBIENT) * np.clip(cosine, 0, 1)
        return np.where(self.coverage, bright, 0).astype(np.float32)

    def textured(self, uv: Floats, texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The ``texture`` (U, W, 3) at each pixel, by ``uv`` (V, 2) in [0, 1]; 0 without a triangle."""
        height, width = texture.shape[:2]
        texels = self.interpolate(np.asarray(uv, np.float32) * np.array([width, height], np.float32) - np.float32(0.5))
        found = np.asarray(cv2.remap(texture, texels, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        found[~self.coverage] = 0
        return found


def _planes(corners: Doubles) -> tuple[Doubles, Doubles]:
    """Slopes (F, 3, 2) in x and y of the weights of triangles with ``corners`` (F, 3, 2), and areas (F,)."""
    (bx, by), (cx, cy) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    twice = bx * cy - cx * by
    area = np.abs(twice) / 2
    scale = np.divide(1, twice, out=np.zeros_like(twice), where=area > _FLAT)
    second, third = np.stack([cy, -cx], 1) * scale[:, None], np.stack([-by, bx], 1) * scale[:, None]
    return np.stack([-second - third, second, third], 1), area


def _painted(order: Indices, corners: Doubles, planes: Doubles, size: int) -> NDArray[np.int32]:
    """Index of the triangle seen at each pixel, those in ``order`` laid over each other."""
    drawn = np.full((size, size), -1, np.int32)
    rows, owner = _ranges(corners[order, :, 1].min(1), corners[order, :, 1].max(1), size)
    triangle = order[owner]
    # on one row no weight may be negative: three bounds on x, fewer where an edge lies along the row
    left, right = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    down = rows - corners[triangle, 0, 1]
    for corner in range(3):
        across, along = planes[triangle, corner].T
        with np.errstate(divide="ignore", invalid="ignore"):
            zero = corners[triangle, 0, 0] - (along * down + (corner == 0)) / across
        np.maximum(left, zero, out=left, where=across > 0)
        np.minimum(right, zero, out=right, where=across < 0)
    columns, span = _ranges(left, right, size)
    # where an index is repeated, numpy keeps the value assigned last: that of the nearest triangle
    drawn.ravel()[rows[span] * size + columns] = triangle[span]
    return drawn


def _ranges(low: Doubles, high: Doubles, size: int) -> tuple[Indices, Indices]:
    """The pixels from each bound ``low`` to ``high``, one range after the other, and the range of each pixel."""
    first = np.ceil(np.clip(low - _ON_EDGE, 0, size)).astype(np.int64)
    last = np.floor(np.clip(high + _ON_EDGE, -1, size - 1)).astype(np.int64)
    count = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return np.arange(len(owner)) - (before - first)[owner], owner


def _weights(drawn: NDArray[np.int32], origin: Doubles, planes: Doubles) -> Floats:
    """Weights (Y, X, 3) in the triangles of ``drawn`` (Y, X), whose first corner is ``origin`` (F, 2)."""
    pixels = np.flatnonzero(drawn >= 0)
    rows, columns = np.divmod(pixels, drawn.shape[1])
    seen, slopes = drawn.ravel()[pixels], planes.astype(np.float32)
    x, y = (columns - origin[seen, 0]).astype(np.float32), (rows - origin[seen, 1]).astype(np.float32)
    second = np.clip(x * slopes[seen, 1, 0] + y * slopes[seen, 1, 1], 0, 1)
    third = np.clip(x * slopes[seen, 2, 0] + y * slopes[seen, 2, 1], 0, 1 - second)
    weights = np.zeros((drawn.size, 3), np.float32)
    weights[pixels] = np.stack([1 - second - third, second, third], 1)
    return weights.reshape(*drawn.shape, 3)


def _normals(vertices: Floats, triangles: Indices) -> Floats:
    """Unit normals (V, 3): means over the adjoining triangles, weighted by their areas."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    faces, owners = np.cross(b - a, c - a), triangles.T.ravel()
    sums = [np.bincount(owners, np.tile(faces[:, axis], 3), minlength=len(vertices)) for axis in range(3)]
    normals = np.stack(sums, axis=1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.where(length > 0, length, 1)).astype(np.float32)
