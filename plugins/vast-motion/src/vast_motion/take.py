"""A take: an avatar's motion as curves, at the frame rate of the program that plays it."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import InputError
from vast_core.mesh import canonical_face
from vast_core.speak.moving import Motion
from vast_core.speak.sound import frames_of

from .head import head_of
from .shapes import general_shapes, own_shapes, solved_curves

Doubles = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Error:
    """What the curves leave unexplained of the motion of the vertices."""

    explained: float
    """1 - sum |residual|^2 / sum |motion|^2, over all vertices and frames, with the neutral face as origin."""
    lips: float
    """The same, of the lips in the plane of the picture."""
    millimetres: float
    """Mean distance of a vertex from its place."""
    motion: float
    """Mean distance of a vertex from the neutral face, in millimetres."""

    @classmethod
    def of(cls, moved: Doubles, given: Doubles) -> Error:
        """The error of ``given`` (T, V, 3) beside ``moved`` (T, V, 3), in centimetres."""
        left, lips = moved - given, canonical_face().lips

        def share(rest: Doubles, whole: Doubles) -> float:
            return float(1 - np.square(rest).sum() / max(np.square(whole).sum(), 1e-12))

        return cls(
            explained=share(left, moved),
            lips=share(left[:, lips, :2], moved[:, lips, :2]),
            millimetres=10 * float(np.linalg.norm(left, axis=2).mean()),
            motion=10 * float(np.linalg.norm(moved, axis=2).mean()),
        )

    def __str__(self) -> str:
        return (
            f"the curves explain {100 * self.explained:.1f} % of the motion ({100 * self.lips:.1f} % of that of the "
            f"lips); a vertex is {self.millimetres:.2f} mm from its place on average, of {self.motion:.2f} mm that it "
            "moves"
        )


@attrs.frozen(kw_only=True, eq=False)
class Take:
    """N frames, the n-th at n / fps seconds."""

    fps: float
    wave: NDArray[np.float32]
    """(S,): the sound, at 16 kHz."""
    curves: Doubles
    """(N, 52) in [0, 1], in the order of ``NAMES``."""
    shapes: Doubles
    """(52, V, 3): motion of each vertex at weight 1, centimetres."""
    neutral: Doubles
    """(V, 3), centimetres."""
    vertices: Doubles
    """(N, V, 3): the face itself, without the pose of the head, centimetres."""
    expression: Doubles
    """(N, E): coefficients of the face component."""
    rotation: Doubles
    """(N, 3, 3) of the head, see :mod:`vast_motion.head`."""
    translation: Doubles
    """(N, 3) of the head, centimetres."""
    texture: NDArray[np.uint8]
    """(U, U, 3), RGB: the face's mean texture, on the canonical face's texture coordinates."""
    error: Error
    """Of the curves, at the avatar's own frame rate."""

    def __len__(self) -> int:
        return len(self.curves)

    @property
    def times(self) -> Doubles:
        """(N,), seconds."""
        return np.arange(len(self)) / self.fps


def take_of(motion: Motion, *, fps: float | None = None, own: bool = True) -> Take:
    """The take of a motion at ``fps`` frames a second, by default its own; between its frames, by interpolation.

    ``own``: with the avatar's own shapes, learned from its base clip and this motion; else with the general ones.
    Raises :class:`vast_core.errors.InputError` if the face has not the mesh of the canonical face.
    """
    face = canonical_face()
    if not motion.canonical or motion.neutral.shape != face.vertices.shape:
        raise InputError(
            f"the avatar's face has a mesh of {len(motion.neutral)} vertices of its own; the 52 shapes are known for "
            "the canonical face alone, which face/landmarks tracks"
        )
    unit = motion.millimetres / 10
    neutral = unit * motion.neutral.astype(np.float64)
    moved = unit * motion.vertices.astype(np.float64) - neutral
    shapes = general_shapes()
    if own:
        footage = unit * motion.own.astype(np.float64) - neutral
        shapes = own_shapes(np.concatenate([footage, moved]), shapes)
    curves = solved_curves(moved, shapes)
    rotation, translation = head_of(motion.pose, motion.own_pose)
    rate = motion.fps if fps is None else fps
    at = _Between.of(len(motion), motion.fps, frames_of(len(motion.wave), rate), rate)
    return Take(
        fps=rate,
        wave=motion.wave,
        curves=at(curves),
        shapes=shapes,
        neutral=neutral,
        vertices=at(neutral + moved),
        expression=at(motion.expression),
        rotation=at.turned(rotation),
        translation=at(unit * translation),
        texture=motion.texture,
        error=Error.of(moved, np.einsum("tk,kvc->tvc", curves, shapes)),
    )


@attrs.frozen(eq=False)
class _Between:
    """Places between frames."""

    before: NDArray[np.int64]
    """(N,): the frame before each."""
    after: NDArray[np.int64]
    """(N,): the frame after it."""
    share: Doubles
    """(N,): share of the latter."""

    @classmethod
    def of(cls, frames: int, fps: float, wanted: int, rate: float) -> _Between:
        """The times of ``wanted`` frames at ``rate`` a second in ``frames`` frames at ``fps``; the last one holds."""
        place = np.minimum(np.arange(wanted) * (fps / rate), frames - 1)
        before = np.floor(place + 1e-9).astype(np.int64)
        return cls(before, np.minimum(before + 1, frames - 1), np.maximum(0, place - before))

    def __call__(self, rows: NDArray[np.floating[Any]]) -> Doubles:
        """Rows (N, ...) of rows (T, ...), linearly."""
        share = self.share.reshape(-1, *[1] * (rows.ndim - 1))
        return np.asarray((1 - share) * rows[self.before] + share * rows[self.after], np.float64)

    def turned(self, rotation: Doubles) -> Doubles:
        """Rotations (N, 3, 3) of rotations (T, 3, 3), along the shortest way."""
        from scipy.spatial.transform import Rotation

        turn = Rotation.from_matrix(rotation[self.before].transpose(0, 2, 1) @ rotation[self.after]).as_rotvec()
        way = Rotation.from_rotvec(self.share[:, None] * turn).as_matrix()
        return np.asarray(rotation[self.before] @ way, np.float64)
