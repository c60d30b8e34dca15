"""Drawing of a speaker: the textured and lit bust in front of a room, downsampled."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from vast_core.mesh import interpolate, rasterise, vertex_normals

from .bust import Bust
from .look import Look
from .texture import SIZE, noise, paint_atlas

_KEY = np.array([-0.50, -0.55, -0.80]) / np.linalg.norm([0.50, 0.55, 0.80])
_FILL = np.array([0.85, -0.10, -0.55]) / np.linalg.norm([0.85, 0.10, 0.55])
"""Directions toward the lights, image frame: a window in front of the face at the left, a wall at the right."""
_HALF = (_KEY + np.array([0.0, 0.0, -1.0])) / np.linalg.norm(_KEY + np.array([0.0, 0.0, -1.0]))
_LAYER_STEP = 1e4
"""Depth between two layers in pixels: more than the depth of any part."""


class Portrait:
    """Draws one speaker, frame by frame."""

    def __init__(
        self,
        shape: NDArray[np.float64],
        look: Look,
        rest: NDArray[np.float64],
        image: int,
        supersampling: int,
        generator: np.random.Generator,
    ) -> None:
        """Set up a speaker; ``shape`` (V, 3) is the neutral face, ``rest`` (3, 4) the pose of the shoulders.

        ``generator`` draws hairs, blotches and the room.
        """
        self.bust = Bust(shape, look)
        self.atlas = paint_atlas(look, shape[self.bust.oval][:, 1], generator)
        self.texels = self.bust.uv * SIZE - 0.5
        self.image, self.scale = image, supersampling
        self.rest = rest
        self.background = _background(look, image * supersampling, generator, rest * supersampling)

    def draw(
        self, face: NDArray[np.float64], pose: NDArray[np.float64], controls: Mapping[str, float]
    ) -> NDArray[np.uint8]:
        """One frame (Y, X, 3) of the canonical ``face`` (V, 3) in ``pose`` (3, 4)."""
        turn = pose[:, :3] / np.linalg.norm(pose[0, :3])
        # The eyes look at the viewer: the line of sight in the axes of the head.
        sight = turn.T @ np.array([0.0, 0.0, -1.0])
        gaze = (float(np.arctan2(sight[0], sight[2])), float(np.arcsin(np.clip(sight[1], -1, 1))))
        canonical, shade = self.bust.assemble(face, controls, gaze)
        follow = self.bust.follow[:, None]
        placed = follow * (canonical @ pose[:, :3].T + pose[:, 3])
        placed += (1 - follow) * (canonical @ self.rest[:, :3].T + self.rest[:, 3])
        # From pixels of the frame to those of the larger drawing; pixel centres map to pixel centres.
        placed = placed * self.scale
        placed[:, :2] += (self.scale - 1) / 2

        triangles = self.bust.triangles
        light, shine = self._light(placed, shade)
        ordered = placed - np.array([0.0, 0.0, _LAYER_STEP]) * self.bust.layer[:, None]
        large = self.image * self.scale
        raster = rasterise(ordered, triangles, (large, large))
        values = interpolate(raster, triangles, np.concatenate([self.texels, light, shine[:, None]], axis=1))
        colour = cv2.remap(self.atlas, values[..., :2], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lit = colour * values[..., 2:5] + values[..., 5:]
        drawn = np.where(raster.coverage[..., None], lit, self.background)
        if self.scale > 1:
            drawn = cv2.resize(drawn, (self.image, self.image), interpolation=cv2.INTER_AREA)
        return np.asarray(np.clip(drawn + 0.5, 0, 255), np.uint8)

    def _light(
        self, placed: NDArray[np.float64], shade: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Light (N, 3) and highlight (N,) at every vertex."""
        normals = vertex_normals(placed, self.bust.triangles).astype(np.float64)
        key = np.clip((normals @ _KEY + 0.25) / 1.25, 0.0, 1.0)
        fill = np.clip(normals @ _FILL, 0.0, 1.0)
        sky = 0.5 - 0.5 * normals[:, 1]
        light = (
            key[:, None] * np.array([0.66, 0.62, 0.57])
            + fill[:, None] * np.array([0.16, 0.17, 0.19])
            + (0.30 + 0.20 * sky)[:, None] * np.array([0.98, 1.0, 1.04])
        )
        shine = 26.0 * self.bust.shine * np.clip(normals @ _HALF, 0.0, 1.0) ** 18 * shade
        return light * shade[:, None], shine


def _background(
    look: Look, size: int, generator: np.random.Generator, rest: NDArray[np.float64]
) -> NDArray[np.float32]:
    """A blurred room with the speaker's shoulders in front of it, (size, size, 3) in 0 to 255."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    room = np.ones((size, size, 3), np.float32) * np.asarray(look.room, np.float32)
    for _ in range(7):
        left, top = generator.uniform(-0.2, 0.9), generator.uniform(-0.2, 0.9)
        width, height = generator.uniform(0.1, 0.4), generator.uniform(0.2, 0.7)
        tone = np.asarray(look.room, np.float32) * generator.uniform(0.55, 1.3) + generator.normal(0, 0.03, 3)
        box = [int(size * value) for value in (left, top, left + width, top + height)]
        cv2.rectangle(room, (box[0], box[1]), (box[2], box[3]), [float(value) for value in tone], -1)
    room = cv2.GaussianBlur(room, (0, 0), size * 0.035)
    room *= (1.12 - 0.35 * columns - 0.15 * rows)[..., None]

    # Shoulders: a smooth outline in canonical centimetres, lit from the left.
    x = np.linspace(-22, 22, 121)
    slope = np.abs(x)
    y = (
        -12.2
        - 0.22 * np.maximum(slope - 5.5, 0)
        - 0.030 * np.maximum(slope - 8.0, 0) ** 2
        - 1.3 * np.exp(-((slope / 5.0) ** 4))
    )
    outline = np.stack([x, y, 0 * x], axis=1) @ rest[:, :3].T + rest[:, 3]
    points = np.concatenate([outline[:, :2], [[size * 1.3, size * 1.3], [-size * 0.3, size * 1.3]]])
    mask = np.zeros((size, size), np.float32)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    mask = cv2.GaussianBlur(mask, (0, 0), size / 300)
    inner = cv2.GaussianBlur(mask, (0, 0), size / 22)
    fold = cv2.GaussianBlur(noise((size, size), (7, 9), generator), (0, 0), size / 60)
    light = (0.45 + 0.55 * inner) * (1.12 - 0.45 * columns) + 0.07 * fold
    weave = 1 + 0.02 * noise((size, size), (size / 3, size / 3), generator)
    shirt = np.asarray(look.shirt, np.float32) * (light * weave)[..., None]
    picture = room * (1 - mask[..., None]) + shirt * mask[..., None]
    return np.asarray(np.clip(picture, 0, 1) * 255, np.float32)
