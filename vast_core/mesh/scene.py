"""The renderer's view of one avatar: crops, masks, the eroded background, and pasting back into the footage."""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..interfaces import Face, Scene

Image = NDArray[np.uint8]

STILL = 1 / 64
"""Pixels of the footage by which nothing moves: OpenCV's remap computes in steps of 1/32."""

MARGIN = 4
"""Pixels of the footage by which a box is larger than what is needed, because filters look around."""


@attrs.frozen
class Crop:
    """A square of the footage, ``side`` pixels wide from (``x``, ``y``), resized to ``size`` pixels."""

    x: float
    y: float
    side: float
    size: int

    @classmethod
    def around(cls, vertices: NDArray[np.float32], margin: float, size: int) -> Crop:
        """The square around all positions of a face (T, V, 3) in image pixels, widened by the factor ``margin``."""
        low, high = vertices[..., :2].min((0, 1)), vertices[..., :2].max((0, 1))
        centre, side = (low + high) / 2, float((high - low).max() * margin)
        return cls(float(centre[0] - side / 2), float(centre[1] - side / 2), side, size)

    @property
    def scale(self) -> float:
        """Crop pixels per pixel of the footage."""
        return self.size / self.side

    @property
    def _matrix(self) -> NDArray[np.float64]:
        # pixel centres lie at whole numbers in OpenCV, half a pixel in from the edge
        k = self.scale
        return np.array([[k, 0, (0.5 - self.x) * k - 0.5], [0, k, (0.5 - self.y) * k - 0.5]])

    def vertices(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vertices (..., 3) converted from the footage's pixels to the crop's."""
        matrix = self._matrix
        return np.concatenate(
            [vertices[..., :2] * self.scale + matrix[:, 2], vertices[..., 2:] * self.scale], axis=-1
        ).astype(np.float32)

    def pose(self, pose: Tensor) -> Tensor:
        """Poses (..., 3, 4) that map to the footage's pixels, mapped on to the crop's."""
        moved = pose * self.scale
        moved[..., :2, 3] += torch.as_tensor(self._matrix[:, 2]).to(moved)
        return moved

    def cut(self, frame: Image) -> Image:
        """The crop (size, size, 3) of a frame (Y, X, 3); outside the frame, its border is repeated."""
        matrix = self._matrix
        if self.scale < 0.5:  # warpAffine does not average: reduce first
            rows, columns = self._around(frame)
            frame, matrix = _reduced(frame[rows, columns], 2 * self.scale, matrix, rows.start, columns.start)
        flags = cv2.INTER_LINEAR if self.scale < 1 else cv2.INTER_CUBIC
        size = (self.size, self.size)
        return np.asarray(cv2.warpAffine(frame, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))

    def paste(self, frame: Image, crop: Image, weight: NDArray[np.float32]) -> Image:
        """``frame`` with ``crop`` (size, size, 3) blended in by ``weight`` (size, size) in [0, 1]."""
        rows, columns, back = self._place_in(frame, weight > 0)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        pasted = frame.copy()
        if not all(size):
            return pasted
        flags = cv2.INTER_CUBIC if self.scale < 2 else cv2.INTER_AREA
        image = cv2.warpAffine(crop, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(weight, back, size, flags=cv2.INTER_LINEAR, borderValue=0.0)[..., None]
        below = frame[rows, columns]
        pasted[rows, columns] = np.clip(np.rint(below + alpha * (image.astype(np.float32) - below)), 0, 255)
        return pasted

    def moved(self, frame: Image, shift: NDArray[np.float32]) -> Image:
        """``frame`` seen through a backward map: ``shift`` (size, size, 2) in pixels of the crop, 0 at its border.

        Only the rectangle in which something moves is computed.
        """
        rows, columns, back = self._place_in(frame, np.abs(shift).max(2) > self.scale * STILL)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        result = frame.copy()
        if not all(size):
            return result
        there = cv2.warpAffine(shift / np.float32(self.scale), back, size, flags=cv2.INTER_LINEAR, borderValue=0.0)
        there[..., 0] += np.arange(columns.start, columns.stop, dtype=np.float32)
        there[..., 1] += np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        places = cv2.convertMaps(there, None, cv2.CV_16SC2)  # what remap does as well, but slower
        result[rows, columns] = cv2.remap(frame, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return result

    def _place_in(self, frame: Image, wanted: NDArray[np.bool_]) -> tuple[slice, slice, NDArray[np.float64]]:
        """The rows and columns of a frame that the ``wanted`` pixels (size, size) of the crop cover, and the matrix
        from crop pixels to these."""
        down, across = np.flatnonzero(wanted.any(1)), np.flatnonzero(wanted.any(0))
        spans = [(int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0) for found in (down, across)]
        rows, columns = (
            _within((start + low / self.scale, start + high / self.scale), most, bool(high))
            for (low, high), start, most in zip(spans, (self.y, self.x), frame.shape, strict=False)
        )
        back = cv2.invertAffineTransform(self._matrix)
        back[:, 2] -= columns.start, rows.start
        return rows, columns, back

    def _around(self, frame: Image) -> tuple[slice, slice]:
        """The rows and columns of a frame that the crop covers, and some beyond; at least one of each."""
        rows, columns = (
            _within((start, start + self.side), most, True)
            for start, most in zip((self.y, self.x), frame.shape, strict=False)
        )
        return rows, columns


def _within(span: tuple[float, float], most: int, wanted: bool) -> slice:
    """The pixels from 0 to ``most`` of a span of the footage, with a margin; none if it is not ``wanted``."""
    if not wanted:
        return slice(0, 0)
    start = int(np.clip(np.floor(span[0]) - MARGIN, 0, most - 1))
    return slice(start, int(np.clip(np.ceil(span[1]) + MARGIN, start + 1, most)))


def _reduced(
    box: Image, ratio: float, matrix: NDArray[np.float64], first_row: int, first_column: int
) -> tuple[Image, NDArray[np.float64]]:
    """A box of a frame, resized, and the ``matrix`` of a warp of the frame for it."""
    rows, columns = (max(1, round(length * ratio)) for length in box.shape[:2])
    smaller = np.asarray(cv2.resize(box, (columns, rows), interpolation=cv2.INTER_AREA))
    down, across = box.shape[0] / rows, box.shape[1] / columns
    to_frame = np.array(
        [[across, 0, across / 2 - 0.5 + first_column], [0, down, down / 2 - 0.5 + first_row], [0, 0, 1]]
    )
    return smaller, matrix @ to_frame


def hull_masks(vertices: NDArray[np.float32], size: int) -> Image:
    """1 inside the convex hull of vertices (T, N, 3), in crop pixels: (T, 1, size, size)."""
    masks = np.zeros((len(vertices), 1, size, size), np.uint8)
    for mask, points in zip(masks, vertices, strict=True):
        cv2.fillConvexPoly(mask[0], cv2.convexHull(np.rint(points[:, :2]).astype(np.int32)), 1)
    return masks


def mouth_masks(face: Face, vertices: NDArray[np.float32], size: int) -> Image:
    """1 over the mouth with a margin, of a face (T, V, 3) in crop pixels: (T, 1, size, size)."""
    grown = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (size // 32) + 1,) * 2)
    lips = hull_masks(vertices[:, face.lips], size)
    return np.stack([cv2.dilate(mask[0], grown)[None] for mask in lips])


def eyes_masks(face: Face, vertices: NDArray[np.float32], size: int) -> Image:
    """1 over both eyes with a margin, of a face (T, V, 3) in crop pixels: (T, 1, size, size)."""
    # the face does not name the eye of a vertex: over all frames, each eye's vertices lie on its side of the middle
    across = vertices[:, face.eyes, 0].mean(0)
    right = across < (across.min() + across.max()) / 2
    grown = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, size // 64) + 1,) * 2)
    masks = hull_masks(vertices[:, face.eyes[right]], size) | hull_masks(vertices[:, face.eyes[~right]], size)
    return np.stack([cv2.dilate(mask[0], grown)[None] for mask in masks])


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Grow masks (..., 1, Y, X) by ``radius`` pixels."""
    width, pool = 2 * radius + 1, torch.nn.functional.max_pool2d
    along = pool(mask.flatten(0, -4), (1, width), 1, (0, radius))  # first rows, then columns: the same, and faster
    return pool(along, (width, 1), 1, (radius, 0)).view(mask.shape)


def erosion_radius(size: int, generator: np.random.Generator | None = None) -> int:
    """Pixels by which the hole is wider than the face.

    In training, random between 2 and 7 % of the image: a renderer that has seen a single width learns to copy the jaw's
    shadow beside the hole, and flickers (StableFace). At inference, the middle of that range.
    """
    low, high = max(1, round(0.02 * size)), max(2, round(0.07 * size))
    return (low + high) // 2 if generator is None else int(generator.integers(low, high + 1))


def as_images(pictures: Tensor) -> Tensor:
    """Convert uint8 to float in [0, 1]."""
    return pictures.float() / 255


def make_scene(
    frames: Tensor,
    hull: Tensor,
    mesh: Tensor,
    texture: Tensor,
    coverage: Tensor,
    audio: Tensor,
    radius: int,
    **geometry: Any,
) -> Scene:
    """Make a scene of uint8 pictures (B, T, C, Y, X); the mask ``hull`` is 0 or 1, ``coverage`` 0 or 255.

    ``geometry`` has the scene's other fields, such as ``vertices``, as they are.
    """
    covered = as_images(coverage)
    hole = torch.maximum(dilate(hull.float(), radius), covered)
    return Scene(
        background=as_images(frames) * (1 - hole),
        hole=hole,
        mesh=as_images(mesh),
        texture=as_images(texture),
        coverage=covered,
        audio=audio,
        **geometry,
    )


def most_neutral(displacement: Tensor, valid: Tensor) -> int:
    """The valid frame (T,) whose face (T, V, 3), as its distance from the neutral one, has moved least."""
    moved = displacement.float().square().mean((1, 2))
    return int(torch.where(valid, moved, torch.inf).argmin())
