"""Where a face's lids, mouth corners and brows are, from its contract and the shape of its neutral face.

:class:`vast_core.interfaces.Face` tells which vertices are lips, lids' edges and upper face. Left, right, upper and
lower follow from where these are on the neutral face: x > 0 is the subject's left, y is up (our choice).
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Face

LID_MIDDLE = (0.25, 0.75)
"""From corner to corner of an eye, where its lids are looked at."""


@attrs.frozen(eq=False)
class Lids:
    """One eye's lids; indices of vertices."""

    upper: Tensor
    lower: Tensor
    """The middle half of each lid's edge."""

    def gap(self, vertices: Tensor) -> Tensor:
        """Distance (T,) of the middles of upper and lower lid, of vertices (T, V, 3)."""
        gap: Tensor = torch.linalg.vector_norm(
            vertices[:, self.upper].mean(1) - vertices[:, self.lower].mean(1), dim=-1
        )
        return gap


@attrs.frozen(eq=False)
class Mouth:
    """Indices of the lips' vertices."""

    right: int
    left: int
    """The corners."""
    upper: Tensor
    lower: Tensor
    """The lips between them."""


def lids(face: Face, neutral: Tensor) -> tuple[Lids, Lids]:
    """The right eye's lids, then the left's, on the neutral face (V, 3).

    Raises :class:`vast_core.errors.NotComputed` where the face does not tell an upper and a lower lid of both eyes.
    """
    index = torch.as_tensor(face.eyes)
    # Between the eyes there is the widest gap of all.
    across = index[neutral[index, 0].argsort()]
    split = int(neutral[across, 0].diff().argmax()) + 1 if len(across) > 1 else 0
    return _lids(across[:split], neutral, len(index)), _lids(across[split:], neutral, len(index))


def _lids(eye: Tensor, neutral: Tensor, count: int) -> Lids:
    if len(eye) >= 4:
        upper, lower = _halves(eye, int(eye[0]), int(eye[-1]), neutral, LID_MIDDLE)
        if len(upper) and len(lower):
            return Lids(upper, lower)
    raise NotComputed(f"the face tells {count} vertices of the lids' edges, and upper and lower lids of both not apart")


def mouth(face: Face, neutral: Tensor) -> Mouth:
    """Corners and lips on the neutral face (V, 3).

    Raises :class:`vast_core.errors.NotComputed` where the face's lips have no upper and lower vertices.
    """
    index = torch.as_tensor(face.lips)
    right, left = (int(index[at]) for at in (neutral[index, 0].argmin(), neutral[index, 0].argmax()))
    upper, lower = _halves(index, right, left, neutral, (0.0, 1.0))
    if not len(upper) or not len(lower):
        raise NotComputed(f"the face tells {len(index)} vertices of the lips, and upper and lower lip not apart")
    return Mouth(right, left, upper, lower)


def brows(face: Face, neutral: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices of the right brow and forehead, then of the left: the upper face above the lids, no lids.

    Raises :class:`vast_core.errors.NotComputed` where the face tells none on either side.
    """
    index, eyes = torch.as_tensor(face.upper_face), torch.as_tensor(face.eyes)
    above = index[~torch.isin(index, eyes) & (neutral[index, 1] > neutral[eyes, 1].max())] if len(eyes) else index[:0]
    middle = neutral[eyes, 0].mean() if len(eyes) else 0.0
    right, left = above[neutral[above, 0] < middle], above[neutral[above, 0] > middle]
    if not len(right) or not len(left):
        raise NotComputed("the face tells no vertices of the upper face above the lids, on one side at least")
    return right, left


def _halves(
    index: Tensor, right: int, left: int, neutral: Tensor, within: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Those of ``index`` above and below the line of two corners, ``within`` shares of the way from right to left."""
    x, y = neutral[index, 0], neutral[index, 1]
    width = neutral[left, 0] - neutral[right, 0]
    if width <= 0:
        return index[:0], index[:0]
    along = (x - neutral[right, 0]) / width
    line = neutral[right, 1] + along * (neutral[left, 1] - neutral[right, 1])
    between = (along > within[0]) & (along < within[1]) & (index != right) & (index != left)
    return index[between & (y > line)], index[between & (y <= line)]
