"""Head pose: the similarity transform from a canonical shape to the points in an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .smoothing import smooth

Doubles = NDArray[np.float64]
Poses = NDArray[np.float32]

ROUNDS = 5
"""Reweighting rounds; the weights converge by then."""
OUTLYING = 1.5
"""Multiple of the frame's median distance beyond which points are down-weighted."""


def similarity(
    source: NDArray[np.floating[Any]], target: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]]
) -> Doubles:
    """Poses (T, 3, 4) that minimise the sum of w |s R x + t - y|^2, R a proper rotation (Umeyama 1991, weighted).

    ``source`` x (P, 3), ``target`` y (T, P, 3), ``weights`` w (P,) or (T, P).
    """
    x, y = np.asarray(source, np.float64), np.asarray(target, np.float64)
    w = np.broadcast_to(np.asarray(weights, np.float64), y.shape[:2])
    w = w / w.sum(1, keepdims=True)
    x_mean, y_mean = w @ x, np.einsum("tp,tpc->tc", w, y)
    x_centred, y_centred = x - x_mean[:, None], y - y_mean[:, None]
    u, singular, v = np.linalg.svd(np.einsum("tp,tpi,tpj->tij", w, y_centred, x_centred))
    sign = np.ones((len(y), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ v))
    rotation = (u * sign[:, None]) @ v
    scale = (singular * sign).sum(1) / np.einsum("tp,tpc->t", w, x_centred**2)
    linear = scale[:, None, None] * rotation
    return np.concatenate([linear, (y_mean - np.einsum("tij,tj->ti", linear, x_mean))[..., None]], axis=2)


def robust_similarity(
    source: NDArray[np.floating[Any]], target: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]]
) -> Doubles:
    """:func:`similarity` with Huber's loss: points with unusually large distances are weighted less.

    The threshold is ``OUTLYING`` times the median distance of the points in the frame (our choice).
    """
    pose = similarity(source, target, weights)
    base = np.asarray(weights, np.float64)
    for _ in range(ROUNDS):
        off = np.linalg.norm(place(source, pose) - target, axis=2)
        usual = OUTLYING * np.median(off, axis=1, keepdims=True)
        pose = similarity(source, target, base * np.minimum(1, usual / np.maximum(off, 1e-12)))
    return pose


def place(points: NDArray[np.floating[Any]], pose: NDArray[np.floating[Any]]) -> Doubles:
    """Image vertices (T, V, 3) of canonical points (V, 3) or (T, V, 3), by poses (T, 3, 4)."""
    return np.asarray(points, np.float64) @ np.swapaxes(pose[..., :3], -1, -2) + pose[:, None, :, 3]


def unplace(vertices: NDArray[np.floating[Any]], pose: NDArray[np.floating[Any]]) -> Doubles:
    """Canonical vertices (T, V, 3) of image vertices (T, V, 3), by poses (T, 3, 4)."""
    pose = np.asarray(pose, np.float64)
    return (vertices - pose[:, None, :, 3]) @ np.swapaxes(np.linalg.inv(pose[..., :3]), -1, -2)


def split(pose: NDArray[np.floating[Any]]) -> tuple[Doubles, Doubles, Doubles]:
    """Scale (T,), rotation (T, 3, 3) and translation (T, 3) of poses (T, 3, 4)."""
    linear = np.asarray(pose[..., :3], np.float64)
    scale = np.cbrt(np.linalg.det(linear))
    return scale, nearest_rotation(linear), np.asarray(pose[..., 3], np.float64)


def nearest_rotation(matrices: Doubles) -> Doubles:
    """The proper rotations (T, 3, 3) nearest to ``matrices`` (T, 3, 3)."""
    u, _, v = np.linalg.svd(matrices)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return np.asarray(u @ v)


def smooth_pose(pose: NDArray[np.floating[Any]], fps: float, band: float) -> Doubles:
    """Poses (T, 3, 4) with scale (as logarithm), rotation and translation smoothed without delay."""
    scale, rotation, translation = split(pose)
    scale = np.exp(smooth(np.log(scale), fps, band))
    rotation = nearest_rotation(smooth(rotation, fps, band))
    translation = smooth(translation, fps, band)
    return np.concatenate([scale[:, None, None] * rotation, translation[..., None]], axis=2)
