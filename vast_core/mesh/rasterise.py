"""Which triangle is visible at which pixel, and how to shade and texture it.

Pixel coordinates are OpenCV's: (0, 0) is the centre of the upper left pixel. A crop made by
``cv2.warpAffine(image, matrix, ...)`` therefore fits vertices moved by the same matrix. Vertices are in the image
frame of reference: x right, y down, z away from the viewer.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

_ON_EDGE = 1e-4
"""Distance from an edge, in pixels, within which a pixel's centre counts as on the edge."""

_FLAT = 1e-6
"""Area in square pixels below which a triangle counts as edge-on."""


@attrs.frozen(kw_only=True, eq=False)
class Raster:
    """The result of :func:`rasterise` for every pixel."""

    triangle: NDArray[np.int32]
    """(Y, X): index of the front triangle, -1 if there is none."""
    weights: NDArray[np.float32]
    """(Y, X, 3): barycentric weights of its corners, non-negative with sum 1; 0 if there is no triangle."""

    @property
    def coverage(self) -> NDArray[np.bool_]:
        """(Y, X): True where a triangle is visible."""
        return self.triangle >= 0


def rasterise(
    vertices: NDArray[np.floating[Any]], triangles: NDArray[np.integer[Any]], shape: tuple[int, int]
) -> Raster:
    """Draw ``triangles`` (F, 3) of ``vertices`` (V, 3) on an image of ``shape`` (Y, X), farthest first.

    The painter's algorithm, with triangles sorted by mean z (our choice: correct for a face, and fast). A triangle
    covers the pixels whose centre lies in it or on its edge, at the full precision of the vertices: neighbours leave
    no gap, and the smallest motion of a vertex changes the drawing. Both sides of a triangle are drawn; an edge-on
    triangle has no pixels.

    Raises ValueError if a vertex is not finite or an array has another shape.
    """
    points = np.asarray(vertices, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"vertices {points.shape} and triangles {triangles.shape}, where (V, 3) and (F, 3) are needed")
    if not np.isfinite(points).all():
        raise ValueError(f"vertex {int(np.flatnonzero(~np.isfinite(points).all(1))[0])} is not finite")
    corners = points[triangles]
    planes, area = _weight_planes(corners[..., :2])
    order = np.flatnonzero(area > _FLAT)
    order = order[np.argsort(-corners[order, :, 2].sum(1), kind="stable")]
    drawn = _paint(order, corners[..., :2], planes, shape)
    return Raster(triangle=drawn, weights=_weights_at(drawn, corners[:, 0, :2], planes))


def _weight_planes(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes (F, 3, 2) in x and y of the three weights of triangles with ``corners`` (F, 3, 2), and areas (F,)."""
    (bx, by), (cx, cy) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    twice = bx * cy - cx * by
    area = np.abs(twice) / 2
    scale = np.divide(1, twice, out=np.zeros_like(twice), where=area > _FLAT)
    second, third = np.stack([cy, -cx], 1) * scale[:, None], np.stack([-by, bx], 1) * scale[:, None]
    return np.stack([-second - third, second, third], 1), area


def _paint(
    order: NDArray[np.integer[Any]],
    corners: NDArray[np.float64],
    planes: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.int32]:
    """Index of the triangle seen at every pixel, those in ``order`` laid over each other."""
    drawn = np.full(shape, -1, np.int32)
    if not drawn.size:
        return drawn
    low, high = corners[order, :, 1].min(1), corners[order, :, 1].max(1)
    rows, owner = _expand(_first(low, shape[0]), _last(high, shape[0]))
    triangle = order[owner]

    # On one row no weight may be negative: three bounds on x, fewer where an edge lies along the row.
    left, right = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    down = rows - corners[triangle, 0, 1]
    for corner in range(3):
        across, along = planes[triangle, corner].T
        at_first = along * down + (corner == 0)  # the weight on this row, below or above the first corner
        with np.errstate(divide="ignore", invalid="ignore"):
            zero = corners[triangle, 0, 0] - at_first / across
        np.maximum(left, zero, out=left, where=across > 0)
        np.minimum(right, zero, out=right, where=across < 0)

    columns, span = _expand(_first(left, shape[1]), _last(right, shape[1]))
    # Where an index is repeated, numpy keeps the value assigned last: that of the nearest triangle.
    drawn.ravel()[rows[span] * shape[1] + columns] = triangle[span]
    return drawn


def _first(bound: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """The first pixel at or after each bound, of 0 to ``size``."""
    return np.ceil(np.clip(bound - _ON_EDGE, 0, size)).astype(np.int64)


def _last(bound: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """The last pixel at or before each bound, of -1 to ``size`` - 1."""
    return np.floor(np.clip(bound + _ON_EDGE, -1, size - 1)).astype(np.int64)


def _expand(first: NDArray[np.int64], last: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All numbers of the ranges ``first`` to ``last``, one range after the other, and the range of each."""
    count = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return np.arange(len(owner)) - (before - first)[owner], owner


def _weights_at(
    drawn: NDArray[np.int32], origin: NDArray[np.float64], planes: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Weights (Y, X, 3) at the pixels of ``drawn`` (Y, X) in triangles whose first corner is ``origin`` (F, 2)."""
    pixels = np.flatnonzero(drawn >= 0)
    rows, columns = np.divmod(pixels, drawn.shape[1])
    seen = drawn.ravel()[pixels]
    x = (columns - origin[seen, 0]).astype(np.float32)
    y = (rows - origin[seen, 1]).astype(np.float32)
    slopes = planes.astype(np.float32)
    second = np.clip(x * slopes[seen, 1, 0] + y * slopes[seen, 1, 1], 0, 1)
    third = np.clip(x * slopes[seen, 2, 0] + y * slopes[seen, 2, 1], 0, 1 - second)
    weights = np.zeros((drawn.size, 3), np.float32)
    weights[pixels, 0] = 1 - second - third
    weights[pixels, 1] = second
    weights[pixels, 2] = third
    return weights.reshape(*drawn.shape, 3)


def interpolate(
    raster: Raster, triangles: NDArray[np.integer[Any]], attributes: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Vertex ``attributes`` (V, C) interpolated at every pixel: (Y, X, C), 0 if there is no triangle."""
    pixels = np.flatnonzero(raster.triangle >= 0)
    corners = triangles.take(raster.triangle.ravel().take(pixels), axis=0)
    weights = raster.weights.reshape(-1, 3).take(pixels, axis=0)
    values = np.asarray(attributes, np.float32)
    found = values.take(corners[:, 0], axis=0) * weights[:, :1]
    found += values.take(corners[:, 1], axis=0) * weights[:, 1:2]
    found += values.take(corners[:, 2], axis=0) * weights[:, 2:]
    image = np.zeros((raster.triangle.size, values.shape[1]), np.float32)
    image[pixels] = found
    return image.reshape(*raster.triangle.shape, values.shape[1])


def vertex_normals(vertices: NDArray[np.floating[Any]], triangles: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Unit normals (V, 3): the mean of the adjoining triangles' normals, weighted by their area.

    They point outward if triangles are counter-clockwise from outside, in a frame with y up and z toward the viewer,
    and after a rotation into the image frame. A vertex without triangles has the normal 0.
    """
    points = np.asarray(vertices, np.float32)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    owners = triangles.T.ravel()
    sums = [np.bincount(owners, np.tile(faces[:, axis], 3), minlength=len(points)) for axis in range(3)]
    normals = np.stack(sums, axis=1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.where(length > 0, length, 1)).astype(np.float32)


def shade(
    raster: Raster,
    triangles: NDArray[np.integer[Any]],
    normals: NDArray[np.floating[Any]],
    light: tuple[float, float, float] = (0.2, -0.3, -1.0),
    ambient: float = 0.15,
) -> NDArray[np.float32]:
    """Brightness (Y, X) in [0, 1] of a matt surface, smooth across triangles; 0 if there is no triangle.

    ambient + (1 - ambient) max(0, n.l), Lambert's law with the normal n interpolated from ``normals`` (V, 3) and made
    unit (Phong 1975). ``light`` points toward the light in the image frame; by default the light is in front of the
    face, above it and to its right.
    """
    interpolated = interpolate(raster, triangles, normals)
    direction = np.asarray(light, np.float32)
    direction /= np.linalg.norm(direction)
    length = np.sqrt(np.einsum("yxc,yxc->yx", interpolated, interpolated))
    cosine = np.divide(interpolated @ direction, length, out=np.zeros_like(length), where=length > 1e-6)
    brightness = ambient + (1 - ambient) * np.clip(cosine, 0, 1)
    return np.where(raster.coverage, brightness, 0).astype(np.float32)


def sample_texture(
    raster: Raster,
    triangles: NDArray[np.integer[Any]],
    uv: NDArray[np.floating[Any]],
    texture: NDArray[Any],
) -> NDArray[Any]:
    """``texture`` (U, W, C) sampled bilinearly at every pixel: (Y, X, C) of the texture's type, 0 without a triangle.

    ``uv`` (V, 2) in [0, 1]: column over width and row over height, (0, 0) at the texture's upper left corner; so
    texel (0, 0) has its centre at (0.5 / W, 0.5 / U).
    """
    height, width = texture.shape[:2]
    texels = interpolate(raster, triangles, texel_positions(uv, height, width))
    sampled = cv2.remap(texture, texels, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sampled = sampled.reshape(*raster.triangle.shape, *texture.shape[2:])
    sampled[~raster.coverage] = 0
    return np.asarray(sampled)


def texel_positions(uv: NDArray[np.floating[Any]], height: int, width: int) -> NDArray[np.float32]:
    """Pixel coordinates (V, 2) of ``uv`` (V, 2) in a texture (``height``, ``width``)."""
    return np.asarray(uv, np.float32) * np.array([width, height], np.float32) - np.float32(0.5)
