"""How flat a style space is: figures of the faces along paths of style codes, and of faces drawn from their density.

Faces are vertices (..., V, 3) in mm. The figures are our choice. A decoder that ignores its code has 0 in all of them
except plausibility, which is therefore only meaningful beside the others.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Self

import attrs
import torch
from torch import Tensor

SAME = 0.01
"""Mean vertex distance in mm below which two performances are the same: then no path leads from one to the other."""

TYPICAL = 0.95
"""Share of real faces, of clips that are not in the corpus, that count as plausible."""


def apart(one: Tensor, other: Tensor) -> float:
    """Mean vertex distance (mm) of two performances (..., V, 3)."""
    return float(torch.linalg.vector_norm(one - other, dim=-1).mean())


def progress(path: Tensor, end: int = -1) -> Tensor:
    """Shares of the way (K,) from the first of K performances (K, ..., V, 3) to that numbered ``end``.

    s_k = <x_k - x_0, x_end - x_0> / |x_end - x_0|^2, so that s_0 = 0 and s_end = 1. All 0 if both are the same.
    """
    moved = (path - path[0]).flatten(1).double()
    if apart(path[end], path[0]) < SAME:
        return torch.zeros(len(path), dtype=torch.float64)
    return moved @ moved[end] / moved[end].square().sum()


def monotony(path: Tensor, end: int = -1) -> float:
    """Whether a path (K, ..., V, 3) always goes forward: sum_k (s_(k+1) - s_k) / sum_k |s_(k+1) - s_k|.

    s is :func:`progress` towards ``end``. 1 if s never falls, less if parts of the way are gone back, down to -1; 0 if
    both ends are the same.
    """
    steps = progress(path, end).diff()
    return float(steps.sum() / steps.abs().sum()) if bool(steps.any()) else 0.0


def evenness(path: Tensor) -> float:
    """Whether a path (K, ..., V, 3) is without jumps: (sum_k d_k / (K - 1)) / max_k d_k, d_k being the k-th step in mm.

    1 if all steps are equally long, 1 / (K - 1) if one step is the whole way; 0 if both ends are the same.
    """
    if apart(path[0], path[-1]) < SAME:
        return 0.0
    steps = torch.tensor([apart(one, other) for one, other in pairwise(path)])
    return float(steps.mean() / steps.max())


def code_share(faces: Tensor) -> float:
    """Share of the variance of performances that the code explains, the words being equal.

    ``faces`` (P, T, V, 3) has the same T frames of words spoken with P codes, P at least 2. The variance over P of each
    frame, in the mean over frames, divided by the variance over codes and frames together. Between 0, if the code is
    ignored, and 1, if the words are.
    """
    rows = faces.flatten(2).double()
    whole = rows.flatten(0, 1).var(0, correction=0).sum()
    return float(rows.var(0, correction=0).sum(-1).mean() / whole) if whole > 0 else 0.0


def error_explained(truth: Tensor, with_code: Tensor, without: Tensor) -> float:
    """Share of the squared error of real faces (T, V, 3) that the code removes.

    1 - |truth - with_code|^2 / |truth - without|^2; ``with_code`` is spoken in the style of the clip's prompt,
    ``without`` with the mean code of all prompts. 1 if nothing is left, 0 if the code is ignored, below 0 if it
    misleads.
    """
    left, before = ((truth - made).double().square().sum() for made in (with_code, without))
    return float(1 - left / before) if before > 0 else 0.0


@attrs.frozen(kw_only=True, eq=False)
class Range:
    """The range of a corpus's faces: what is as near to one of them as real faces of other clips are."""

    faces: Tensor
    """(N, V * 3), mm, of the corpus, less their mean."""
    mean: Tensor
    """(V, 3), mm."""
    reach: float
    """Largest plausible distance from the nearest of them: root mean square over vertices, mm."""

    @classmethod
    def of(cls, faces: Tensor, others: Tensor) -> Self:
        """Of the corpus's ``faces`` (N, V, 3), with a reach that :data:`TYPICAL` of ``others`` (M, V, 3) are within."""
        mean = faces.mean(0)
        own = cls(faces=(faces - mean).flatten(1), mean=mean, reach=0.0)  # centred, because cdist rounds large numbers
        return attrs.evolve(own, reach=float(torch.quantile(own.distance(others), TYPICAL)))

    def distance(self, faces: Tensor) -> Tensor:
        """Distance (M,) of faces (M, V, 3) from the nearest face of the corpus: root mean square over vertices, mm."""
        nearest: Tensor = torch.cdist((faces - self.mean).flatten(1), self.faces).amin(1)
        return nearest / math.sqrt(len(self.mean))

    def plausible(self, faces: Tensor) -> float:
        """Share of faces (..., V, 3) within reach: :data:`TYPICAL` for real ones of other clips."""
        return float((self.distance(faces.flatten(0, -3)) <= self.reach).double().mean())
