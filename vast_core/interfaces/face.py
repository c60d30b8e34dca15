"""Tracks, drawings, and the face component that makes both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Self

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
    """(T,), False where no face was seen; vertices and pose are interpolated there."""
    start: int = 0
    """Number of the clip's frame at which the track starts (a cut in the footage starts a new track)."""
    notes: tuple[str, ...] = ()
    """What the tracker had to decide, in words for the report."""

    def __len__(self) -> int:
        return len(self.vertices)


@attrs.frozen(kw_only=True, eq=False)
class Drawing:
    """A mesh drawn on T images; all uint8."""

    mesh: NDArray[np.uint8]
    """(T, 3, Y, X): smooth-shaded geometry, open at mouth and eyes, black where no triangle is."""
    texture: NDArray[np.uint8]
    """(T, 3, Y, X): the avatar's texture on the mesh, the eyes too; equal to ``mesh`` where none was given."""
    coverage: NDArray[np.uint8]
    """(T, 1, Y, X): 255 where ``texture`` is drawn, never over an open mouth."""


class Face(nn.Module, ABC):
    """Finds a face, takes it apart into identity, pose and expression, and draws it.

    Expression is linear or not in the coefficients, as the component likes; ``decode`` is differentiable. What
    ``fit`` learns is kept in buffers, so that it is saved with the weights.
    """

    triangles: NDArray[np.int64]
    """(F, 3), no filler over mouth and eyes."""
    lips: NDArray[np.int64]
    """Indices of the lip vertices, inner and outer."""
    upper_face: NDArray[np.int64]
    """Indices of brows, lids and forehead."""
    eyes: NDArray[np.int64]
    """Indices of the lids' edges. Blinks are not in the audio: an avatar takes them from its own footage."""
    millimetres: float
    """Millimetres in one canonical unit."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def track(self, frames: Iterable[NDArray[np.uint8]], fps: float) -> list[FaceTrack]:
        """Follow the face through ``frames`` (Y, X, 3); one track a shot, shots without a face left out.

        Where several faces are seen, the largest continuous one is taken, and a note says so.
        Raises :class:`vast_core.errors.InputError` where no frame shows a face, or too few in a row.
        """

    @abstractmethod
    def identity(self, tracks: Sequence[FaceTrack]) -> NDArray[np.float32]:
        """The speaker's neutral face (V, 3), canonical, from all tracks of that speaker."""

    @abstractmethod
    def fit(self, tracks: Sequence[FaceTrack], identities: Sequence[NDArray[np.float32]]) -> None:
        """Learn the expression basis from the corpus; ``identities[i]`` is the neutral face of ``tracks[i]``."""

    @abstractmethod
    def encode(self, track: FaceTrack, identity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Expression (T, E) of a track."""

    @abstractmethod
    def decode(self, expression: Tensor, identity: Tensor) -> Tensor:
        """Canonical vertices (..., V, 3) of expression (..., E) on the neutral face ``identity`` (V, 3)."""

    @abstractmethod
    def lip_opening(self, vertices: Tensor) -> Tensor:
        """Inner-lip opening over the distance of the outer eye corners (...,), of vertices (..., V, 3)."""

    @abstractmethod
    def unwrap(self, frames: Iterable[NDArray[np.uint8]], vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Mean texture (U, U, 3) of frames (T of (Y, X, 3)) whose vertices (T, V, 3) are in their pixels."""

    @abstractmethod
    def draw(self, vertices: NDArray[np.float32], size: int, texture: NDArray[np.uint8] | None = None) -> Drawing:
        """Draw vertices (T, V, 3), in pixels of a ``size`` by ``size`` image."""


def place(vertices: Tensor, pose: Tensor) -> Tensor:
    """Canonical vertices (..., V, 3) to the image by pose (..., 3, 4)."""
    return vertices @ pose[..., :3].transpose(-1, -2) + pose[..., None, :, 3]


def unposed(track: FaceTrack) -> Tensor:
    """Vertices (T, V, 3) of a track with its pose undone."""
    inverse = np.linalg.inv(track.pose[:, :, :3].astype(np.float64)).astype(np.float32)
    moved = track.vertices - track.pose[:, None, :, 3]
    return torch.from_numpy(moved @ inverse.transpose(0, 2, 1))
