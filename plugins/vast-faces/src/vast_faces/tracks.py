"""From the points of the networks to tracks: gaps, head pose and smoothing."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import InputError
from vast_core.interfaces import FaceTrack
from vast_core.mesh import canonical_face

from .alignment import place, robust_similarity, similarity, smooth_pose, unplace
from .config import LandmarksConfig
from .mouth import over_time
from .shots import Followed, FollowedFace
from .smoothing import smooth

QUICK = 1.5
"""Distance in centimetres from lips and lids within which vertices may move as fast as they do."""


def build_tracks(followed: Followed, fps: float, config: LandmarksConfig) -> list[FaceTrack]:
    """Tracks of all faces that are visible for long enough.

    Raises :class:`InputError` if there are none, with the number of frames that show a face.
    """
    needed = max(2, round(config.shortest * fps))
    tracks, left_out, covered = [], [], 0
    for face, notes in zip(followed.faces, followed.notes, strict=True):
        where = f"frames {face.frames[0]} to {face.frames[-1]}"
        if len(face.frames) < needed:
            left_out.append(f"{where}: a face in {len(face.frames)} frames, left out: {needed} are needed")
            continue
        track = _track(face, notes, fps, config)
        if 2 * track.valid.sum() < len(face.frames):
            covered += len(face.frames)
            left_out.append(f"{where}: a face whose mouth is covered most of the time, left out")
        else:
            tracks.append(track)
    if not tracks:
        mouth = f", {covered} of them one whose mouth is covered most of the time" if covered else ""
        raise InputError(
            f"{followed.seen} of {followed.frames} frames show a face{mouth}; a track needs at least {needed} frames "
            f"({config.shortest:g} s) of one shot"
        )
    if left_out:
        tracks[0] = attrs.evolve(tracks[0], notes=(*tracks[0].notes, *left_out))
    return tracks


def _track(face: FollowedFace, notes: tuple[str, ...], fps: float, config: LandmarksConfig) -> FaceTrack:
    start = face.frames[0]
    at = np.array(face.frames) - start
    valid = np.zeros(at[-1] + 1, bool)
    valid[at] = True
    if not valid.all():
        notes = (
            *notes,
            f"{int((~valid).sum())} of {len(valid)} frames from frame {start} without a face are interpolated",
        )
    mouth = _interpolated(over_time(np.array(face.mouth, np.float32), fps)[:, None, None], at)[:, 0, 0]
    if (hidden := valid & (mouth < config.mouth)).any():
        notes = (
            *notes,
            f"the mouth is covered in {int(hidden.sum())} of {len(valid)} frames from frame {start}, which teach "
            f"nothing: {_spans(hidden, start, fps)}",
        )
        valid &= ~hidden
    vertices, pose = separate(_interpolated(np.stack(face.points), at), fps, config)
    scores = _interpolated(np.stack(face.scores)[..., None], at)[..., 0]
    return FaceTrack(
        vertices=vertices.astype(np.float32),
        pose=pose.astype(np.float32),
        valid=valid,
        start=start,
        notes=notes,
        coefficients={"scores": scores.astype(np.float32)},
    )


def _spans(marked: NDArray[np.bool_], start: int, fps: float, most: int = 4) -> str:
    """The times of the frames that are marked, in words."""
    edges = np.flatnonzero(np.diff(marked, prepend=False, append=False)).reshape(-1, 2)
    told = [f"{(start + first) / fps:.1f} to {(start + stop) / fps:.1f} s" for first, stop in edges]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


def separate(
    points: NDArray[np.float64], fps: float, config: LandmarksConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smoothed vertices (T, V, 3) and pose (T, 3, 4) of points (T, V, 3).

    Head pose comes from points that hardly move with the expression: first from the canonical face to each frame, then
    from the median shape of the whole track, so that a person's proportions are not taken for a head rotation. Pose and
    shape are smoothed separately, lips and lids least (our choice).
    """
    face = canonical_face()
    index, weight = face.alignment_index, face.alignment_weight
    pose = similarity(face.vertices[index], points[:, index], weight)
    neutral = np.median(unplace(points, pose), axis=0)
    pose = robust_similarity(neutral[index], points[:, index], weight)
    shape = unplace(points, pose)
    quick = _quickness()[:, None]
    shape = quick * smooth(shape, fps, config.lip_band) + (1 - quick) * smooth(shape, fps, config.face_band)
    pose = smooth_pose(pose, fps, config.head_band)
    return place(shape, pose), pose


def _quickness() -> NDArray[np.float64]:
    """(V,): 1 on lips and lids, falling to 0 away from them."""
    face = canonical_face()
    quick = face.vertices[np.concatenate([face.lips, face.eye_left, face.eye_right])]
    distance = np.linalg.norm(face.vertices[:, None] - quick, axis=2).min(1)
    return np.asarray(np.exp(-np.square(distance / QUICK)), np.float64)


def _interpolated(points: NDArray[np.float32], at: NDArray[np.integer]) -> NDArray[np.float64]:
    """Rows (N, V, C) of the frames ``at`` (N,), with the frames between interpolated linearly: (T, V, C)."""
    frames = np.arange(at[-1] + 1)
    after = np.clip(np.searchsorted(at, frames), 1, max(1, len(at) - 1))
    before = after - 1
    share = ((frames - at[before]) / (at[after] - at[before]))[:, None, None]
    return np.asarray((1 - share) * points[before] + share * points[after])
