"""The mean texture of a face, and drawing of the textured mesh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vast_core.mesh import (
    CanonicalFace,
    Raster,
    interpolate,
    rasterise,
    sample_texture,
    shade,
    texel_positions,
    vertex_normals,
)

Image = NDArray[np.uint8]

MOST = 80
"""Maximum frames in a mean texture, spread over the clip."""
OBLIQUE = 0.25
"""Cosine between surface normal and viewing direction below which a texel is not used."""


def unwrap(face: CanonicalFace, size: int, frames: Iterable[Image], vertices: NDArray[np.floating[Any]]) -> Image:
    """Mean texture (``size``, ``size``, 3) of frames (Y, X, 3) with ``vertices`` (T, V, 3) in their pixels.

    Texels are weighted by the squared cosine of the viewing angle. Texels between the lids use only the half of the
    frames with the widest open eyes, because blinks would smear lids over the pupils. A texel that is never visible is
    taken from the other half of the face, and if that is hidden too, or there is no face there, from its surroundings.
    Raises ValueError if there are fewer frames than in ``vertices``.
    """
    layout, triangles = texture_layout(face, size), _with_eyes(face)
    seen, between_lids = layout.coverage, layout.triangle[..., None] >= len(face.triangles)
    spread = np.unique(np.linspace(0, len(vertices) - 1, min(MOST, len(vertices))).astype(int))
    openings = dict(zip(spread.tolist(), _eye_opening(face, np.asarray(vertices[spread])).tolist(), strict=True))
    wide, chosen = float(np.median(list(openings.values()))), set(openings)
    total, weight = np.zeros((size, size, 3)), np.zeros((size, size, 1))
    for number, frame in zip(range(len(vertices)), frames, strict=False):
        if number not in chosen:
            continue
        chosen.remove(number)
        points = np.asarray(vertices[number], np.float32)
        positions = interpolate(layout, triangles, points[:, :2])
        facing = -interpolate(layout, triangles, vertex_normals(points, triangles))[..., 2:]
        inside = ((positions >= 0) & (positions <= np.array(frame.shape[1::-1]) - 1)).all(2, keepdims=True)
        counts = np.where((facing > OBLIQUE) & inside, facing**2, 0)
        if openings[number] < wide:
            counts[between_lids] = 0
        colours = cv2.remap(frame, positions, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        total += counts * colours
        weight += counts
    if chosen:
        raise ValueError(f"{len(vertices)} frames of vertices, but the pictures end before frame {min(chosen)}")
    return _filled(total / np.maximum(weight, 1e-9), weight[..., 0] > 0, seen)


def _filled(colours: NDArray[np.float64], known: NDArray[np.bool_], seen: NDArray[np.bool_]) -> Image:
    """``colours`` (U, U, 3) with texels that are not ``known`` taken from the mirror image or the surroundings."""
    mirrored = known[:, ::-1] & ~known & seen
    filled = np.where(mirrored[..., None], colours[:, ::-1], colours)
    missing = ~(known | mirrored)
    image = np.clip(np.rint(filled), 0, 255).astype(np.uint8)
    if not missing.any() or missing.all():
        return image
    return np.asarray(cv2.inpaint(image, missing.astype(np.uint8), 2, cv2.INPAINT_TELEA), np.uint8)


def texture_layout(face: CanonicalFace, size: int) -> Raster:
    """The triangle of each texel of a texture (``size``, ``size``), first of the mesh, then of the eyes."""
    texels = texel_positions(face.uv, size, size)
    flat = np.concatenate([texels, np.zeros((len(texels), 1), np.float32)], 1)
    return rasterise(flat, _with_eyes(face), (size, size))


def _eye_fillers(face: CanonicalFace) -> NDArray[np.int64]:
    """(28, 3): the filler triangles between the lids, without those of the mouth."""
    found: NDArray[np.int64] = face.fillers[np.isin(face.fillers, [*face.eye_left, *face.eye_right]).all(1)]
    return found


def _with_eyes(face: CanonicalFace) -> NDArray[np.int64]:
    """The triangles of the mesh, then those of the eyes."""
    return np.concatenate([face.triangles, _eye_fillers(face)])


def _eye_opening(face: CanonicalFace, vertices: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Visible area (T,) between the lids of vertices (T, V, 3), divided by the squared distance of the outer eye
    corners."""
    points = np.asarray(vertices, np.float64)[..., :2]
    a, b, c = np.moveaxis(points[:, _eye_fillers(face)], 2, 0)
    (ux, uy), (vx, vy) = np.moveaxis(b - a, -1, 0), np.moveaxis(c - a, -1, 0)
    right, left = np.moveaxis(points[:, face.eye_corners], 1, 0)
    area = np.abs((ux * vy - uy * vx).sum(1)) / 2
    opening: NDArray[np.float64] = area / np.maximum(np.square(right - left).sum(-1), 1e-9)
    return opening


def draw(
    face: CanonicalFace, vertices: NDArray[np.floating[Any]], size: int, texture: Image | None
) -> tuple[Image, Image, Image]:
    """Shaded mesh (3, Y, X), textured mesh (3, Y, X) and coverage (1, Y, X) of vertices (V, 3), Y = X = ``size``.

    With a texture, the eyes are also drawn, in texture and coverage, where nothing of the mesh is in front of them.
    """
    raster = rasterise(vertices, face.triangles, (size, size))
    brightness = shade(raster, face.triangles, vertex_normals(vertices, face.triangles))
    mesh = np.broadcast_to(np.rint(brightness * 255).astype(np.uint8), (3, size, size))
    if texture is None:
        return mesh, mesh, raster.coverage[None].astype(np.uint8) * np.uint8(255)
    fillers = _eye_fillers(face)
    eyes = rasterise(vertices, fillers, (size, size))
    textured = np.where(
        raster.coverage[..., None],
        sample_texture(raster, face.triangles, face.uv, texture),
        sample_texture(eyes, fillers, face.uv, texture),
    ).transpose(2, 0, 1)
    return mesh, textured, (raster.coverage | eyes.coverage)[None].astype(np.uint8) * np.uint8(255)
