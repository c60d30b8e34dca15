"""Lips that are pressed together further than they can go, which would turn the mesh inside out."""

from __future__ import annotations

from typing import Self

import attrs
import numpy as np
import torch
from torch import Tensor

from vast_core.mesh import CanonicalFace

SHUT = 0.02
"""Least distance of the edges of the inner lips, in centimetres."""
AROUND = 0.5
"""How far the skin follows a lip, in centimetres: the deviation of a Gaussian of the distance on the neutral face."""


@attrs.frozen(eq=False)
class Lips:
    """Opposite points of the inner lips, and how the face follows them."""

    upper: Tensor
    """(N,): indices of points of the upper lip, from corner to corner."""
    lower: Tensor
    """(N,): those of the lower lip that face them."""
    follow: Tensor
    """(V, N): how far each vertex moves up (or, below the mouth, down) with each pair."""

    @classmethod
    def of(cls, face: CanonicalFace) -> Self:
        """The lips of the canonical mesh, whose ring of inner lips begins in a corner and runs along the lower lip."""
        half = len(face.lips_inner) // 2
        lower, upper = face.lips_inner[1:half], face.lips_inner[half + 1 :][::-1]
        middles = (face.vertices[lower] + face.vertices[upper]) / 2
        apart = face.vertices[:, None] - middles
        near = np.exp(-np.square(apart[..., :2]).sum(-1) / (2 * AROUND**2))
        near /= np.maximum(near.sum(1, keepdims=True), 1)
        nearest = np.abs(apart[..., 0]).argmin(1)
        side = np.sign(np.take_along_axis(apart[..., 1], nearest[:, None], 1))
        side[face.lips_inner] = 0  # these move by exactly what they lack
        follow = torch.from_numpy(side * near).float()
        return cls(torch.from_numpy(upper.copy()), torch.from_numpy(lower.copy()), follow)

    def parted(self, vertices: Tensor) -> Tensor:
        """Canonical vertices (..., V, 3), in centimetres, with the lips at least :data:`SHUT` apart."""
        gap = vertices[..., self.upper, 1] - vertices[..., self.lower, 1]
        lack = (SHUT - gap).clamp_min(0) / 2
        moved = vertices.clone()
        moved[..., 1] += lack @ self.follow.to(vertices).T
        moved[..., self.upper, 1] += lack
        moved[..., self.lower, 1] -= lack
        return moved
