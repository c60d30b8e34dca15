"""The mouth in close-up: its square on the head, and the mouths that the avatar remembers."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .crops import Crop, Floats, Image, hull_mask
from .warping import Mesh, Wanted, known, warped

REMEMBERED = 3
"""Number of remembered mouths in a picture."""

OPENING_WEIGHT, TURN_WEIGHT = 1.8, 0.3
"""How much the opening and the head's turn count beside the shape of the lips, where mouths are compared."""

REGION, SOFT = 0.19, 0.06
"""How far the drawn region reaches around the lips, and the width of its border, in widths of the mouth."""


class Mouths:
    """The remembered mouths of an avatar."""

    def __init__(self, place: dict[str, Any], tables: Mesh) -> None:
        self._centre = np.array(place["centre"], np.float32)
        self._side, self._width, self._size = place["side"], place["width"], place["size"]
        self._pictures, self._vertices, self._traits = (
            tables[f"mouth_{name}"] for name in ("pictures", "vertices", "traits")
        )
        self._mesh = tables

    def crop(self, pose: Floats) -> Crop:
        """The mouth's square in a picture in which the head has this ``pose`` (3, 4)."""
        centre = self._centre @ pose[:, :3].T + pose[:, 3]
        side = self._side * _scale(pose)
        return Crop(float(centre[0]) - side / 2, float(centre[1]) - side / 2, side, self._size)

    @property
    def _pixels(self) -> float:
        """Width of the mouth in pixels of the close-up."""
        return float(self._width / self._side * self._size)

    def close_up(
        self, frame: Image, before: Floats, after: Floats, pose: Floats, opening: float
    ) -> dict[str, NDArray[Any]]:
        """What a renderer may read of a close-up, of a ``frame`` (Y, X, 3) whose face ``before`` moves to ``after``.

        Faces are (V, 3) in pixels of the frame, in which the head has the ``pose`` (3, 4); ``opening`` is that of the
        lips.
        """
        crop, size = self.crop(pose), self._size
        now, then, mine = crop.vertices(after), crop.vertices(before), crop.cut(frame)
        face = Wanted(now, self._mesh, size, same_pose=False)
        found, likeness = self._nearest(self._traits_of(now, pose, opening))
        shift, *shifts = face.shifts_from([then, *self._vertices[found]])
        own = warped(mine, shift)
        lips = hull_mask(now[self._mesh["lips"]], size)
        inside = lips * ~face.covered
        around = _grown(lips, 0.25 * self._pixels) - _grown(lips, 0.04 * self._pixels)
        others = [warped(picture, way) for picture, way in zip(self._pictures[found], shifts, strict=True)]
        return {
            "own": own.transpose(2, 0, 1).astype(np.float32) / 255,
            "known": known(shift)[None] * (1 - inside),
            "remembered": np.stack([_recoloured(other, own, around) for other in others])
            .transpose(0, 3, 1, 2)
            .astype(np.float32)
            / 255,
            "likeness": likeness,
            "opening": inside[None].astype(np.float32),
            "lips": lips[None].astype(np.float32),
            "region": _soft(_grown(lips, (REGION - SOFT) * self._pixels), SOFT * self._pixels)[None],
        }

    def _traits_of(self, vertices: Floats, pose: Floats, opening: float) -> Floats:
        """What makes mouths alike (D,), of a face (V, 3) in close-up."""
        lips = (vertices[self._mesh["lips"], :2] - self._size / 2) / self._pixels
        turn = pose[:, :3] / np.float32(_scale(pose))
        rows = [lips.ravel() / np.sqrt(len(lips)), [OPENING_WEIGHT * opening], TURN_WEIGHT * turn.ravel()]
        return np.concatenate(rows).astype(np.float32)

    def _nearest(self, wanted: Floats) -> tuple[NDArray[np.int64], Floats]:
        """The mouths whose traits are nearest to ``wanted`` (D,), and weights with sum 1.

        A weight falls to 0 at the distance of the next mouth, so that mouths come and go without a jump.
        """
        distance = np.linalg.norm(self._traits - wanted, axis=1)
        order = np.argsort(distance, kind="stable")[: REMEMBERED + 1]
        beyond = distance[order[-1]] if len(order) > REMEMBERED else 2 * distance[order[-1]] + 1e-6
        found = order[:REMEMBERED]
        weight = np.maximum(1 - distance[found] / max(beyond, 1e-6), 1e-3)
        missing = REMEMBERED - len(found)
        found, weight = np.pad(found, (0, missing), "edge"), np.pad(weight, (0, missing))
        return found, np.asarray(weight / weight.sum(), np.float32)


def _scale(pose: Floats) -> float:
    """How many pixels a canonical unit has."""
    return math.pow(abs(np.linalg.det(pose[:, :3].astype(np.float64))), 1 / 3)


def _grown(mask: Image, pixels: float) -> Image:
    """A mask (Y, X) of 0 and 1, grown by a disc."""
    radius = round(pixels)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, disc))


def _soft(mask: Image, pixels: float) -> Floats:
    """A mask (Y, X) with a border that is about twice ``pixels`` wide, and 0 at the edge of the picture."""
    framed = np.pad(mask[1:-1, 1:-1], 1).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(framed, (0, 0), max(0.5, pixels / 2), borderType=cv2.BORDER_CONSTANT))


def _recoloured(other: Image, mine: Image, around: Image) -> Image:
    """``other`` with the mean colour that ``mine`` has where ``around`` (Y, X) is 1."""
    if not around.any():
        return other
    change = np.subtract(cv2.mean(mine, around)[:3], cv2.mean(other, around)[:3])
    return np.asarray(np.clip(np.rint(other + change), 0, 255), np.uint8)
