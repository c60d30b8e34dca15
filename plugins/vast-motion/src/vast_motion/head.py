"""The head's rotation and translation, in the viewer's frame: x to the right of the picture, y up, z to the viewer.

A pose is a similarity from the canonical face to the picture, whose y points down and whose z points away. One camera
tells no distance, so the head moves in the plane of the picture; sizes are those of the first frame of the base clip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_TO_VIEWER = np.array([1.0, -1.0, -1.0])


def head_of(pose: NDArray[np.floating[Any]], own: NDArray[np.floating[Any]]) -> tuple[Doubles, Doubles]:
    """Rotation (T, 3, 3) and translation (T, 3), canonical units, of poses (T, 3, 4).

    A head that faces the camera has no rotation. The mean place of the head in the base clip, whose poses are ``own``
    (N, 3, 4), is the origin.
    """
    linear = _TO_VIEWER[:, None] * np.asarray(pose[..., :3], np.float64)
    left, _, right = np.linalg.svd(linear)
    left[..., 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    scale = np.cbrt(np.linalg.det(np.asarray(own[..., :3], np.float64))).mean()
    place = np.asarray(pose[..., 3], np.float64) - np.asarray(own[..., 3], np.float64).mean(0)
    translation = _TO_VIEWER * place / scale
    translation[:, 2] = 0
    return left @ right, translation


def angles(rotation: Doubles) -> Doubles:
    """Rotations (T, 3) about y, then x, then z, in radians, of R = Ry Rx Rz (T, 3, 3).

    Positive: the face turns to the person's left, looks down, and leans to the person's right shoulder.
    """
    about_x = np.arcsin(np.clip(-rotation[:, 1, 2], -1, 1))
    about_y = np.arctan2(rotation[:, 0, 2], rotation[:, 2, 2])
    about_z = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return np.stack([about_y, about_x, about_z], axis=1)


def quaternions(rotation: Doubles) -> Doubles:
    """Unit quaternions (T, 4), x y z w, of rotations (T, 3, 3); neighbours have the same sign."""
    from scipy.spatial.transform import Rotation

    found = np.asarray(Rotation.from_matrix(rotation).as_quat(), np.float64)
    turns = np.where((found[1:] * found[:-1]).sum(1) < 0, -1.0, 1.0)
    found[1:] *= np.cumprod(turns)[:, None]
    return found


def jaw_of(vertices: NDArray[np.floating[Any]], neutral: NDArray[np.floating[Any]]) -> Doubles:
    """Rotation (T, 3, 3) of the jaw about ``JAW`` that takes the chin of ``neutral`` (V, 3) to that of ``vertices``
    (T, V, 3), in centimetres: first about x, then about y.
    """
    rest = np.asarray(neutral[CHIN], np.float64).mean(0) - JAW
    now = np.asarray(vertices[:, CHIN], np.float64).mean(1) - JAW
    sideways = np.arctan2(now[:, 0], now[:, 2]) - np.arctan2(rest[0], rest[2])
    depth = np.hypot(now[:, 0], now[:, 2])
    down = np.arctan2(-now[:, 1], depth) - np.arctan2(-rest[1], np.hypot(rest[0], rest[2]))
    cx, sx, cy, sy = np.cos(down), np.sin(down), np.cos(sideways), np.sin(sideways)
    zero = np.zeros_like(cx)
    turned = [[cy, sy * sx, sy * cx], [zero, cx, -sx], [-sy, cy * sx, cy * cx]]
    return np.moveaxis(np.array(turned), -1, 0)


JAW = np.array([0.0, 0.2, -2.0])
"""A point on the axis of the jaw, in centimetres of the canonical face: between its joints, before the ears."""
CHIN = np.array([152, 175, 199, 200])
"""Vertices of the chin."""
