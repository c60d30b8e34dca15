"""Squares of the footage, cut out and put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

STILL = 1 / 64
"""Pixels of the footage by which nothing moves: OpenCV's remap computes in steps of 1/32."""

MARGIN = 4
"""Pixels of the footage by which a box is larger than what is needed, because filters look around."""


@dataclass(frozen=True)
class Crop:
    """A square of the footage, ``side`` pixels wide from (``x``, ``y``), resized to ``size`` pixels."""

    x: float
    y: float
    side: float
    size: int

    @classmethod
    def around(cls, vertices: Floats, margin: float, size: int) -> Crop:
        """The square around a face (V, 3) in pixels, widened by the factor ``margin``."""
        low, high = vertices[:, :2].min(0), vertices[:, :2].max(0)
        centre, side = (low + high) / 2, float((high - low).max() * margin)
        return cls(float(centre[0] - side / 2), float(centre[1] - side / 2), side, size)

    @property
    def scale(self) -> float:
        """Pixels of the crop per pixel of the footage."""
        return self.size / self.side

    @property
    def _matrix(self) -> NDArray[np.float64]:
        k = self.scale  # pixel centres lie at whole numbers in OpenCV, half a pixel in from the edge
        return np.array([[k, 0, (0.5 - self.x) * k - 0.5], [0, k, (0.5 - self.y) * k - 0.5]])

    def vertices(self, vertices: Floats) -> Floats:
        """Vertices (..., 3) in pixels of the crop."""
        moved = vertices * self.scale
        moved[..., :2] = moved[..., :2] + self._matrix[:, 2]
        return moved

    def pose(self, pose: Floats) -> Floats:
        """A pose (3, 4) that maps to pixels of the crop."""
        moved = pose * np.float32(self.scale)
        moved[:2, 3] += self._matrix[:, 2].astype(np.float32)
        return moved

    def cut(self, frame: Image) -> Image:
        """The crop (size, size, 3) of a frame (Y, X, 3); outside the frame, its border is repeated."""
        matrix = self._matrix
        if self.scale < 0.5:  # warpAffine does not average: reduce first
            rows, columns = (
                _within((start, start + self.side), most)
                for start, most in zip((self.y, self.x), frame.shape, strict=False)
            )
            frame, matrix = _reduced(frame[rows, columns], 2 * self.scale, matrix, rows.start, columns.start)
        flags = cv2.INTER_LINEAR if self.scale < 1 else cv2.INTER_CUBIC
        size = (self.size, self.size)
        return np.asarray(cv2.warpAffine(frame, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))

    def paste(self, frame: Image, crop: Image, weight: Floats) -> Image:
        """``frame`` with ``crop`` (size, size, 3) blended in by ``weight`` (size, size) in [0, 1]."""
        pasted, wanted = frame.copy(), weight > 0
        if wanted.any():
            rows, columns, back = self._place_in(frame, wanted)
            size = (columns.stop - columns.start, rows.stop - rows.start)
            flags = cv2.INTER_CUBIC if self.scale < 2 else cv2.INTER_AREA
            image = cv2.warpAffine(crop, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            alpha = cv2.warpAffine(weight, back, size, flags=cv2.INTER_LINEAR, borderValue=0.0)[..., None]
            below = frame[rows, columns]
            pasted[rows, columns] = np.clip(np.rint(below + alpha * (image.astype(np.float32) - below)), 0, 255)
        return pasted

    def moved(self, frame: Image, shift: Floats) -> Image:
        """``frame`` seen through a backward map: ``shift`` (size, size, 2) in pixels of the crop, 0 at its border."""
        result, wanted = frame.copy(), np.abs(shift).max(2) > self.scale * STILL
        if wanted.any():
            rows, columns, back = self._place_in(frame, wanted)
            size = (columns.stop - columns.start, rows.stop - rows.start)
            there = cv2.warpAffine(shift / np.float32(self.scale), back, size, flags=cv2.INTER_LINEAR, borderValue=0.0)
            there[..., 0] += np.arange(columns.start, columns.stop, dtype=np.float32)
            there[..., 1] += np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
            result[rows, columns] = seen_at(frame, there)
        return result

    def _place_in(self, frame: Image, wanted: NDArray[np.bool_]) -> tuple[slice, slice, NDArray[np.float64]]:
        """The rows and columns of a frame that the ``wanted`` pixels (size, size) cover, and the matrix to these."""
        found = []
        for axis, start, most in ((1, self.y, frame.shape[0]), (0, self.x, frame.shape[1])):
            pixels = np.flatnonzero(wanted.any(axis))
            found.append(_within((start + pixels[0] / self.scale, start + (pixels[-1] + 1) / self.scale), most))
        back: NDArray[Any] = cv2.invertAffineTransform(self._matrix)
        back[:, 2] -= found[1].start, found[0].start
        return found[0], found[1], back


def _within(span: tuple[float, float], most: int) -> slice:
    """The pixels from 0 to ``most`` of a span of the footage, with a margin; at least one."""
    start = int(np.clip(np.floor(span[0]) - MARGIN, 0, most - 1))
    return slice(start, int(np.clip(np.ceil(span[1]) + MARGIN, start + 1, most)))


def _reduced(
    box: Image, ratio: float, matrix: NDArray[np.float64], first_row: int, first_column: int
) -> tuple[Image, NDArray[np.float64]]:
    """A box of a frame, resized, and the ``matrix`` of a warp of the frame for it."""
    rows, columns = (max(1, round(length * ratio)) for length in box.shape[:2])
    smaller = np.asarray(cv2.resize(box, (columns, rows), interpolation=cv2.INTER_AREA))
    down, across = box.shape[0] / rows, box.shape[1] / columns
    place = [[across, 0, across / 2 - 0.5 + first_column], [0, down, down / 2 - 0.5 + first_row], [0, 0, 1]]
    return smaller, np.asarray(matrix @ np.array(place))


def seen_at(picture: Image, places: Floats) -> Image:
    """The colours of a picture at ``places`` (y, x, 2), which are columns and rows; its border is repeated."""
    fixed = cv2.convertMaps(places, None, cv2.CV_16SC2)  # what remap does as well, but slower
    return np.asarray(cv2.remap(picture, *fixed, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def hull_mask(vertices: Floats, size: int) -> Image:
    """1 inside the convex hull of vertices (N, 3), in crop pixels: (size, size)."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(vertices[:, :2]).astype(np.int32)), 1)
    return mask
