"""``face/landmarks``: the face landmarker on the canonical mesh, with a linear expression basis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import Drawing, Face, FaceTrack, Sizes
from vast_core.mesh import canonical_face

from . import texture as textures
from .alignment import Doubles, split, unplace
from .basis import TURNS, Moments, turning
from .config import VERTICES, LandmarksConfig
from .lips import Lips
from .neutral import Reading, ReadingMoments, median
from .shots import follow
from .tracker import SCORES, Landmarker
from .tracks import build_tracks
from .weights import landmarker_bytes

MEDIAN_FRAMES = 3000
"""Frames from which a speaker's neutral face is computed, spread over all tracks (memory: 12 kB each)."""


class LandmarkFace(Face):
    """The 468-vertex canonical face, expression = mean + sum of coefficient times basis column.

    x = identity + mean + sum_k e_k basis_k, in centimetres. The first ``lower_face`` coefficients are principal
    components of the motion of the lower face, the others of the remainder (:mod:`vast_faces.basis`; our choice).
    """

    coefficients: ClassVar[Mapping[str, int]] = MappingProxyType({"scores": SCORES})
    basis: Tensor
    """(E, V, 3)."""
    mean: Tensor
    """(V, 3)."""
    leak: Tensor
    """(TURNS, V, 3): displacement that follows the rotation of the head and is not expression."""
    scale: Tensor
    """(): centimetres of vertex motion, root of the sum of squares, per unit of a coefficient."""
    reading: Tensor
    """(52, V, 3): displacement in centimetres per unit of each expression score (:mod:`vast_faces.neutral`)."""
    usual: Tensor
    """(52,): expression scores that count as neutral."""
    frames: Tensor
    """(): number of frames from which the basis was learned, 0 before."""

    def __init__(self, config: LandmarksConfig) -> None:
        super().__init__()
        self._config = config
        self._canonical = canonical_face()
        # Copies, because torch warns about indices in read-only memory.
        self.triangles = self._canonical.triangles.copy()
        self.lips = self._canonical.lips.copy()
        self.upper_face = self._canonical.upper_face.copy()
        self.eyes = np.union1d(self._canonical.eye_left, self._canonical.eye_right)
        self.millimetres = 10.0
        self._lips = Lips.of(self._canonical)
        self._weights: bytes | None = None  # kept, so that a download is made once even where it cannot be cached
        self._read: tuple[Doubles, Doubles, Doubles] | None = None
        self.register_buffer("basis", torch.zeros(config.coefficients, VERTICES, 3))
        self.register_buffer("mean", torch.zeros(VERTICES, 3))
        self.register_buffer("leak", torch.zeros(TURNS, VERTICES, 3))
        self.register_buffer("scale", torch.ones(()))
        known = Reading.shipped()
        self.register_buffer("reading", torch.from_numpy(known.weights).float().reshape(SCORES, VERTICES, 3))
        self.register_buffer("usual", torch.from_numpy(known.usual).float())
        self.register_buffer("frames", torch.zeros((), dtype=torch.int64))

    @classmethod
    def from_config(cls, config: LandmarksConfig, sizes: Sizes) -> Self:
        """Build the component; needs no weights until :meth:`track` is called."""
        return cls(config)

    def track(self, frames: Iterable[NDArray[np.uint8]], fps: float) -> list[FaceTrack]:
        """Follow the face, one track per shot; see :meth:`Face.track`.

        Raises :class:`InputError` if no shot shows a face for ``shortest`` seconds, and the errors of
        :func:`vast_faces.weights.landmarker_bytes`.
        """
        if self._weights is None:
            self._weights = landmarker_bytes(self._config.weights)
        landmarker = Landmarker(self._weights, self._config.threads)
        return build_tracks(follow(landmarker, frames, fps, self._config), fps, self._config)

    def learn_neutral(self, tracks: Sequence[FaceTrack], speakers: Sequence[str]) -> None:
        """Learn from tracks that have expression scores what these say about a face; see :mod:`vast_faces.neutral`."""
        moments = ReadingMoments()
        for track, speaker in zip(tracks, speakers, strict=True):
            if "scores" in track.coefficients and track.valid.any():
                shapes = unplace(track.vertices[track.valid], track.pose[track.valid])
                moments.add(speaker, shapes, track.coefficients["scores"][track.valid].astype(np.float64))
        found = moments.reading(self._reading())
        self.reading.copy_(torch.from_numpy(found.weights).reshape(self.reading.shape))
        self.usual.copy_(torch.from_numpy(found.usual))

    def identity(self, tracks: Sequence[FaceTrack]) -> NDArray[np.float32]:
        """Median (V, 3) over valid frames of the vertices without head pose and without the expression.

        The expression is read from the expression scores, so that a lasting smile does not count as the shape of the
        face. Tracks that a corpus brings have no scores: then it is the median of the vertices themselves, which is
        neutral only over various expressions.
        """
        scored = [track for track in tracks if "scores" in track.coefficients] or tracks
        frames = sum(int(track.valid.sum()) for track in scored)
        if not frames:
            raise InputError(f"none of the {len(tracks)} tracks of the speaker has a frame with a face")
        return median(self._rests(scored, step=max(1, -(-frames // MEDIAN_FRAMES))))

    def _rests(self, tracks: Sequence[FaceTrack], step: int) -> Iterator[Doubles]:
        """Every ``step``-th valid frame of each track, (T, V, 3), without pose and expression."""
        reading = self._reading()
        for track in tracks:
            chosen = np.flatnonzero(track.valid)[::step]
            if len(chosen):
                shapes = unplace(track.vertices[chosen], track.pose[chosen])
                scores = track.coefficients.get("scores")
                yield shapes if scores is None else reading.rest(shapes, scores[chosen].astype(np.float64))

    def _reading(self) -> Reading:
        weights = self.reading.cpu().double().numpy().reshape(SCORES, -1)
        return Reading(weights, self.usual.cpu().double().numpy())

    def fit(self, tracks: Sequence[FaceTrack], identities: Sequence[NDArray[np.float32]]) -> None:
        """Learn the basis; columns beyond the number of independent motions in the corpus are 0."""
        moments = Moments(VERTICES * 3)
        for track, identity in zip(tracks, identities, strict=True):
            if track.valid.any():
                moments.add(*self._displacement(track, identity))
        if not moments.frames:
            raise InputError(
                f"none of the {len(tracks)} tracks has a frame with a face: there is no expression to learn"
            )
        lower = self._lower_rows()
        found = moments.basis(self._config.coefficients, self._config.lower_face, lower)
        for buffer, values in (
            (self.basis, found.columns),
            (self.mean, found.mean),
            (self.leak, found.leak),
            (self.scale, np.float64(found.scale)),
            (self.frames, np.int64(moments.frames)),
        ):
            buffer.copy_(torch.as_tensor(values).reshape(buffer.shape))

    def encode(self, track: FaceTrack, identity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Expression (T, E) by least squares, first of the lower face, then of the rest; invalid frames are
        interpolated.

        Raises ValueError before :meth:`fit`.
        """
        if not int(self.frames):
            raise ValueError("the basis has not been learned yet: call fit(), or load weights that contain it")
        if not track.valid.any():
            raise InputError(
                f"the track of {len(track)} frames starting at frame {track.start} has no frame with a face"
            )
        moved, turned = self._displacement(track, identity)
        moved = moved - self.mean.cpu().double().numpy().ravel()
        moved -= turned @ self.leak.cpu().double().numpy().reshape(TURNS, -1)
        rows, count = self._lower_rows(), self._config.lower_face
        basis, lower_reader, rest_reader = self._readers()
        lower = moved[:, rows] @ lower_reader
        rest = (moved - lower @ basis[:count]) @ rest_reader
        found = np.concatenate([lower, rest], axis=1)
        at, valid = np.arange(len(track)), np.flatnonzero(track.valid)
        return np.stack([np.interp(at, valid, column) for column in found.T], axis=1).astype(np.float32)

    def _readers(self) -> tuple[Doubles, Doubles, Doubles]:
        """The basis (E, 3 V) and the pseudo-inverses of its two blocks, computed once per basis."""
        basis = self.basis.cpu().double().numpy().reshape(self._config.coefficients, -1)
        if self._read is None or not np.array_equal(self._read[0], basis):
            count = self._config.lower_face
            lower = np.linalg.pinv(basis[:count, self._lower_rows()])
            self._read = (basis.copy(), lower, np.linalg.pinv(basis[count:]))
        return self._read

    def decode(self, expression: Tensor, identity: Tensor) -> Tensor:
        """Canonical vertices (..., V, 3) = identity + mean + expression @ basis."""
        moved = torch.einsum("...e,evc->...vc", expression, self.basis.to(expression.dtype))
        return identity + self.mean.to(expression.dtype) + moved

    def settled(self, vertices: Tensor) -> Tensor:
        """Vertices (..., V, 3) whose inner lips are at least ``SHUT`` apart; see :mod:`vast_faces.lips`."""
        return self._lips.parted(vertices)

    def lip_opening(self, vertices: Tensor) -> Tensor:
        """Distance (...,) between the middles of the inner lips, divided by that of the outer eye corners."""
        upper, lower = self._canonical.inner_lip_pair.tolist()
        right, left = self._canonical.eye_corners.tolist()
        opening = torch.linalg.vector_norm(vertices[..., upper, :] - vertices[..., lower, :], dim=-1)
        eyes = torch.linalg.vector_norm(vertices[..., right, :] - vertices[..., left, :], dim=-1)
        ratio: Tensor = opening / eyes
        return ratio

    def unwrap(self, frames: Iterable[NDArray[np.uint8]], vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Mean texture of up to 80 frames with hidden texels filled; see :func:`vast_faces.texture.unwrap`."""
        return textures.unwrap(self._canonical, self._config.texture, frames, vertices)

    def draw(self, vertices: NDArray[np.float32], size: int, texture: NDArray[np.uint8] | None = None) -> Drawing:
        """Smooth-shaded mesh, open at mouth and eyes, and textured mesh, open only at the mouth."""
        mesh = np.empty((len(vertices), 3, size, size), np.uint8)
        textured = mesh if texture is None else np.empty_like(mesh)
        coverage = np.empty((len(vertices), 1, size, size), np.uint8)
        for at, points in enumerate(vertices):
            mesh[at], textured[at], coverage[at] = textures.draw(self._canonical, points, size, texture)
        return Drawing(mesh=mesh, texture=textured, coverage=coverage)

    def _displacement(
        self, track: FaceTrack, identity: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Displacement (T, V * 3) from the neutral face at valid frames, and the rotation of the head (T, TURNS)
        there."""
        vertices, pose = track.vertices[track.valid], track.pose[track.valid]
        moved = unplace(vertices, pose) - identity
        return moved.reshape(len(moved), -1), turning(split(pose)[1])

    def _lower_rows(self) -> NDArray[np.int64]:
        """Indices of the coordinates of the lower face in V * 3."""
        rows: NDArray[np.int64] = (self._canonical.lower_face[:, None] * 3 + np.arange(3)).ravel()
        return rows
