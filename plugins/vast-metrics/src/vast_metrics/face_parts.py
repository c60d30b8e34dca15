"""Lids, mouth corners and brows of a face, from its interface and the shape of its neutral face.

:class:`vast_core.interfaces.Face` states which vertices are lips, edges of lids and upper face. Left, right, upper and
lower follow from their positions on the neutral face: x > 0 is the subject's left, y is up (our choice).
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Face

LID_MIDDLE = (0.25, 0.75)
"""Range from corner to corner of an eye in which its lids are measured."""


@attrs.frozen(eq=False)
class Lids:
    """One eye's lids, as vertex indices."""

    upper: Tensor
    lower: Tensor
    """The middle half of each lid's edge."""

    def gap(self, vertices: Tensor) -> Tensor:
        """Distance (T,) between the middles of upper and lower lid, for vertices (T, V, 3)."""
        gap: Tensor = torch.linalg.vector_norm(
            vertices[:, self.upper].mean(1) - vertices[:, self.lower].mean(1), dim=-1
        )
        return gap


@attrs.frozen(eq=False)
class Mouth:
    """Vertex indices of the lips."""

    right: int
    left: int
    """The corners."""
    upper: Tensor
    lower: Tensor
    """The lips between them."""


def lids(face: Face, neutral: Tensor) -> tuple[Lids, Lids]:
    """The right eye's lids, then the left's, on the neutral face (V, 3).

    Raises :class:`vast_core.errors.NotComputed` if the face does not distinguish upper and lower lids of both eyes.
    """
    index = torch.as_tensor(face.eyes)
    # The widest gap of all is between the eyes.
    across = index[neutral[index, 0].argsort()]
    split = int(neutral[across, 0].diff().argmax()) + 1 if len(across) > 1 else 0
    return _lids(across[:split], neutral, len(index)), _lids(across[split:], neutral, len(index))


def _lids(eye: Tensor, neutral: Tensor, count: int) -> Lids:
    if len(eye) >= 4:
        upper, lower = _halves(eye, int(eye[0]), int(eye[-1]), neutral, LID_MIDDLE)
        if len(upper) and len(lower):
            return Lids(upper, lower)
    raise NotComputed(
        f"the face has {count} vertices on the edges of the lids, which do not distinguish upper and lower lids of "
        "both eyes"
    )


def mouth(face: Face, neutral: Tensor) -> Mouth:
    """Corners and lips on the neutral face (V, 3).

    Raises :class:`vast_core.errors.NotComputed` if the face's lips have no upper and lower vertices.
    """
    index = torch.as_tensor(face.lips)
    right, left = (int(index[at]) for at in (neutral[index, 0].argmin(), neutral[index, 0].argmax()))
    upper, lower = _halves(index, right, left, neutral, (0.0, 1.0))
    if not len(upper) or not len(lower):
        raise NotComputed(f"the face has {len(index)} lip vertices, which do not distinguish upper and lower lip")
    return Mouth(right, left, upper, lower)


def brows(face: Face, neutral: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices of the right brow and forehead, then of the left: the upper face above the lids, without the lids.

    Raises :class:`vast_core.errors.NotComputed` if the face has none on either side.
    """
    index, eyes = torch.as_tensor(face.upper_face), torch.as_tensor(face.eyes)
    above = index[~torch.isin(index, eyes) & (neutral[index, 1] > neutral[eyes, 1].max())] if len(eyes) else index[:0]
    middle = neutral[eyes, 0].mean() if len(eyes) else 0.0
    right, left = above[neutral[above, 0] < middle], above[neutral[above, 0] > middle]
    if not len(right) or not len(left):
        raise NotComputed("the face has no vertices of the upper face above the lids, on at least one side")
    return right, left


def _halves(
    index: Tensor, right: int, left: int, neutral: Tensor, within: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Vertices of ``index`` above and below the line through two corners, at fractions ``within`` from right to
    left."""
    x, y = neutral[index, 0], neutral[index, 1]
    width = neutral[left, 0] - neutral[right, 0]
    if width <= 0:
        return index[:0], index[:0]
    along = (x - neutral[right, 0]) / width
    line = neutral[right, 1] + along * (neutral[left, 1] - neutral[right, 1])
    between = (along > within[0]) & (along < within[1]) & (index != right) & (index != left)
    return index[between & (y > line)], index[between & (y <= line)]
