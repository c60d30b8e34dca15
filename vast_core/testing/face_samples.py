"""Sample faces for the rules of faces: tracks of known motion and pose, and faces fitted to them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..interfaces import Face, FaceTrack
from ..mesh.canonical import canonical_face
from .kit import Subject, not_applicable

SIZE = 64
FRAMES = 40
Floats = NDArray[np.float32]


def made_face(subject: Subject) -> Face:
    """The face component, in evaluation mode."""
    face: Face = subject.make().eval()
    return face


def template_of(subject: Subject, face: Face) -> Floats:
    """The neutral shape (V, 3) from which tracks are made."""
    own = getattr(face, "template", None)
    if own is not None:
        return np.asarray(own, np.float32)
    mesh, count = canonical_face().vertices, subject.sizes[0].vertices
    if len(mesh) != count:
        not_applicable(f"the neutral shape of its {count} vertices is unknown; give the face an attribute `template`")
    return mesh.copy()


def motions(face: Face, template: Floats) -> NDArray[np.float64]:
    """Three smooth motions (3, V, 3): the lower lip moves down, the lip corners apart, the brows up."""
    height, lips = float(np.ptp(template[:, 1])), template[face.lips]
    below = lips[lips[:, 1] < lips[:, 1].mean()].mean(0)
    left, right = lips[lips[:, 0].argmin()], lips[lips[:, 0].argmax()]

    def bump(centre: Floats, *direction: float) -> NDArray[np.float64]:
        away = np.linalg.norm(template - centre, axis=1) / (0.12 * height)
        weight: NDArray[np.float64] = np.exp(-0.5 * away**2)[:, None] * np.array(direction) * 0.06 * height
        return weight

    upper = bump(template[face.upper_face].mean(0), 0, 1, 0)
    return np.stack([bump(below, 0, -1, 0.1), bump(left, -1, 0, 0) + bump(right, 1, 0, 0), upper])


def amounts(frames: int, seed: int) -> NDArray[np.float64]:
    """Amount of each motion (T, 3): slow waves around 0.5."""
    draw, time = np.random.default_rng(seed), np.arange(frames)[:, None] / 25
    waves: NDArray[np.float64] = 0.5 + 0.5 * np.sin(
        2 * np.pi * draw.uniform(0.8, 2.5, 3) * time + draw.uniform(0, 6, 3)
    )
    return waves


def poses(template: Floats, frames: int, scale: float = 1.0, turn: float = 0.0, shift: float = 0.0) -> Floats:
    """Poses (T, 3, 4) of a still head, upright in the middle of an image of ``SIZE`` pixels, or turned and shifted."""
    size = 0.7 * SIZE * scale / float(np.ptp(template[:, :2], axis=0).max())
    cos, sin = np.cos(turn), np.sin(turn)
    linear = size * np.diag([1.0, -1.0, -1.0]) @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    middle = np.array([SIZE / 2 + shift, SIZE / 2, 0]) - linear @ ((template.max(0) + template.min(0)) / 2)
    return np.tile(np.concatenate([linear, middle[:, None]], 1).astype(np.float32), (frames, 1, 1))


def track_of(canonical: NDArray[np.floating], pose: Floats) -> FaceTrack:
    """The track of canonical vertices (T, V, 3) in poses (T, 3, 4); every frame is valid."""
    vertices = canonical @ pose[:, :, :3].transpose(0, 2, 1) + pose[:, None, :, 3]
    return FaceTrack(vertices=vertices.astype(np.float32), pose=pose, valid=np.ones(len(pose), bool))


def tracks_and_templates(face: Face, template: Floats) -> tuple[list[FaceTrack], list[Floats]]:
    """Three tracks of two speakers, with their neutral faces."""
    moving, tracks, identities = motions(face, template), [], []
    for number in range(3):
        identity = (template * (1.0, 1.05, 1.0) if number == 2 else template).astype(np.float32)
        moved = identity + np.einsum("tk,kvc->tvc", amounts(FRAMES, number), moving)
        tracks.append(track_of(moved, poses(template, FRAMES, 1 + 0.1 * number)))
        identities.append(identity)
    return tracks, identities


def fitted_face(subject: Subject) -> tuple[Face, Floats]:
    """A face that is fitted to :func:`tracks_and_templates`, unless its basis is fixed, and the template (V, 3)."""
    face = made_face(subject)
    template = template_of(subject, face)
    if face.fits:
        face.fit(*tracks_and_templates(face, template))
    return face, template


def unseen_track(subject: Subject, face: Face, template: Floats, **pose: float) -> FaceTrack:
    """A track of the same motions in other amounts than in the fit; for a fixed basis, of motions of that basis."""
    if face.fits:
        moved = template + np.einsum("tk,kvc->tvc", amounts(30, 9), motions(face, template))
    else:
        chance = np.random.default_rng(9)
        expression = chance.uniform(0, 0.5, (30, subject.sizes[0].expression)).astype(np.float32)
        with torch.no_grad():
            moved = face.decode(torch.from_numpy(expression), torch.from_numpy(template)).numpy()
    return track_of(moved, poses(template, 30, **pose))
