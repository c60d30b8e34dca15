"""Tracks, drawings, and the face component, which combines a tracker, a model and a drawer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .sizes import Sizes


@attrs.frozen(kw_only=True, eq=False)
class FaceTrack:
    """One face through consecutive frames of one shot."""

    vertices: NDArray[np.float32]
    """(T, V, 3), image frame of reference."""
    pose: NDArray[np.float32]
    """(T, 3, 4), canonical to image."""
    valid: NDArray[np.bool_]
    """(T,), False if no face was seen; vertices and pose are then interpolated."""
    start: int = 0
    """Frame of the clip at which the track starts; a cut in the footage starts a new track."""
    notes: tuple[str, ...] = ()
    """Decisions of the tracker, as text for the report."""
    coefficients: Mapping[str, NDArray[np.float32]] = MappingProxyType({})
    """Further measurements of the tracker, such as blink, gaze or jaw, (T, K) each, by name."""

    def __len__(self) -> int:
        return len(self.vertices)


@attrs.frozen(kw_only=True, eq=False)
class Drawing:
    """A mesh drawn on T images; all uint8."""

    mesh: NDArray[np.uint8]
    """(T, 3, Y, X): smooth-shaded geometry, open at mouth and eyes, black where there is no triangle."""
    texture: NDArray[np.uint8]
    """(T, 3, Y, X): the avatar's texture on the mesh, eyes included; equal to ``mesh`` if no texture is given."""
    coverage: NDArray[np.uint8]
    """(T, 1, Y, X): 255 where ``texture`` is drawn, never over an open mouth."""


class FaceTracker(ABC):
    """Finds a face in footage."""

    coefficients: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """Name and width K of each further measurement that :meth:`track` gives in :attr:`FaceTrack.coefficients`."""

    @abstractmethod
    def track(self, frames: Iterable[NDArray[np.uint8]], fps: float) -> list[FaceTrack]:
        """Track the face through ``frames`` (Y, X, 3); one track per shot, without shots that show no face.

        If there are several faces, the largest continuous one is tracked, with a note. Raises
        :class:`vast_core.errors.InputError` if no frame shows a face, or too few consecutive frames do.
        """


class FaceModel(nn.Module, ABC):
    """Separates a tracked face into identity and expression, and composes it again.

    Vertices need not be linear in the expression coefficients; ``decode`` is differentiable.
    """

    triangles: NDArray[np.int64]
    """(F, 3), without triangles over mouth and eyes."""
    lips: NDArray[np.int64]
    """Indices of the lip vertices, inner and outer."""
    upper_face: NDArray[np.int64]
    """Indices of brows, lids and forehead."""
    eyes: NDArray[np.int64]
    """Indices of the edges of the lids. Audio does not determine blinks: an avatar takes them from its own footage."""
    millimetres: float
    """Millimetres per canonical unit."""
    template: NDArray[np.float32] | None = None
    """(V, 3), canonical: the model's mean neutral face. None if the mesh is the core's canonical face, or if there is
    no such face."""
    fits: ClassVar[bool] = True
    """False for a fixed basis, such as FLAME's or ARKit's: ``fit`` is then not called."""

    def learn_neutral(self, tracks: Sequence[FaceTrack], speakers: Sequence[str]) -> None:
        """Learn from the corpus how to tell expression from the shape of a face, before :meth:`identity` is called.

        ``speakers[i]`` is the speaker of ``tracks[i]``. What it learns is kept in buffers. Most models learn nothing.
        """

    @abstractmethod
    def identity(self, tracks: Sequence[FaceTrack]) -> NDArray[np.float32]:
        """The speaker's neutral face (V, 3), canonical, from all tracks of that speaker.

        There may be a single short track, in which the speaker smiles from beginning to end.
        """

    def fit(self, tracks: Sequence[FaceTrack], identities: Sequence[NDArray[np.float32]]) -> None:
        """Learn the expression basis from the corpus; ``identities[i]`` is the neutral face of ``tracks[i]``.

        What it learns is kept in buffers, so that it is saved with the weights.
        """
        raise TypeError(f"{type(self).__name__} has fits = False or lacks fit()")

    @abstractmethod
    def encode(self, track: FaceTrack, identity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Expression (T, E) of a track.

        ``track.coefficients`` may be used if present; tracks that a corpus brings have none.
        """

    @abstractmethod
    def decode(self, expression: Tensor, identity: Tensor) -> Tensor:
        """Canonical vertices (..., V, 3) of expression (..., E) on the neutral face ``identity`` (V, 3)."""

    def settled(self, vertices: Tensor) -> Tensor:
        """Canonical vertices (..., V, 3) whose lips have not passed through each other; by default, as they are.

        A spoken face is drawn from these: a prediction may press lips together further than lips can go.
        """
        return vertices

    @abstractmethod
    def lip_opening(self, vertices: Tensor) -> Tensor:
        """Inner-lip opening over the distance of the outer eye corners (...,), of vertices (..., V, 3)."""


class FaceDrawer(ABC):
    """Draws a face, and takes its texture from footage."""

    @abstractmethod
    def unwrap(self, frames: Iterable[NDArray[np.uint8]], vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Mean texture (U, U, 3) of T frames (Y, X, 3); ``vertices`` (T, V, 3) are in pixels of the frames."""

    @abstractmethod
    def draw(self, vertices: NDArray[np.float32], size: int, texture: NDArray[np.uint8] | None = None) -> Drawing:
        """Draw vertices (T, V, 3), in pixels of a ``size`` by ``size`` image."""


class Face(FaceTracker, FaceModel, FaceDrawer):
    """Tracks a face, decomposes it into identity, pose and expression, and draws it.

    Each of its three parts can be replaced alone: ``class Mine(FlameModel, TheirFace)`` tracks and draws like
    ``TheirFace``; all parts must use the same mesh.
    """

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...


def place(vertices: Tensor, pose: Tensor) -> Tensor:
    """Image vertices (..., V, 3) of canonical vertices (..., V, 3), by pose (..., 3, 4)."""
    return vertices @ pose[..., :3].transpose(-1, -2) + pose[..., None, :, 3]


def unposed(track: FaceTrack) -> Tensor:
    """Canonical vertices (T, V, 3) of a track, with its pose removed."""
    inverse = np.linalg.inv(track.pose[:, :, :3].astype(np.float64)).astype(np.float32)
    moved = track.vertices - track.pose[:, None, :, 3]
    return torch.from_numpy(moved @ inverse.transpose(0, 2, 1))
