"""Preservation of facial identity, measured by shape."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Face, Measure, Metric, Performance, Sizes

from . import pairs
from .config import IdentityDriftConfig

MARGIN = 0.25
"""Height above the lips, relative to the mouth's width, above which vertices are used: lower ones move with speech."""
LEAST = 4
"""Minimum number of vertices."""


class IdentityDrift(Metric):
    """Distance of the shape of nose, cheeks and temples from the reference, and its drift within the prediction, in mm.

    d(a, b) = min over similarities s, R, t of 1/|S| sum_(v in S) |s R a_v + t - b_v|  (s, R, t by least squares)

    with S the vertices above the mouth without upper face, lids, and lips; a and b are medians over frames.
    ``identity_distance`` = d(prediction, reference), ``identity_drift`` = d(first third of the prediction, last third).

    No face recognition network is used: few have weights for commercial use. Speech moves S little, a median over a
    clip even less, and the alignment removes the effect of a moving jaw on the head pose. The choice of S, median and
    thirds is ours. Strong emotions, which raise the cheeks, do affect it.

    Measured on footage tracked by ``face/landmarks``: two clips of one talker differ by 0.5 mm (two talkers), clips of
    two talkers by 1.5 mm (0.9 to 2.3; five talkers, seven clips); clips of one actor in two of eight strong emotions by
    1.1 mm. Drift within one clip of 15 to 30 s is 0.3 mm (at most 0.5).
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="identity_distance", better="lower", unit="mm"),
        Measure(name="identity_drift", better="lower", unit="mm"),
    )

    def __init__(self, shortest: float) -> None:
        self.shortest = shortest

    @classmethod
    def from_config(cls, config: IdentityDriftConfig, sizes: Sizes) -> Self:
        """Build with the config's minimum duration."""
        return cls(config.shortest)

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both distances for vertices (T, V, 3); the first is 0 for an identical pair.

        Raises :class:`vast_core.errors.NotComputed` if the clip is too short, or the face has too few such vertices.
        """
        x, y = pairs.vertices(prediction, reference, "identity_drift")
        neutral = pairs.neutral(reference, "identity_drift")
        if len(x) < max(3, self.shortest * reference.fps):
            raise NotComputed(f"the clip has {len(x) / reference.fps:.1f} s, but a shape needs {self.shortest:g} s")
        steady = steady_vertices(reference.face, neutral)
        x, y, third = x[:, steady], y[:, steady], len(x) // 3
        return {
            "identity_distance": shape_distance(_median(x), _median(y)),
            "identity_drift": shape_distance(_median(x[:third]), _median(x[-third:])),
        }


def steady_vertices(face: Face, neutral: Tensor) -> Tensor:
    """Indices of the vertices above the mouth, without upper face and lids, on the neutral face (V, 3).

    Raises :class:`vast_core.errors.NotComputed` if there are fewer than :data:`LEAST`.
    """
    lips = neutral[torch.as_tensor(face.lips)]
    above = neutral[:, 1] > lips[:, 1].max() + MARGIN * (lips[:, 0].max() - lips[:, 0].min())
    for moving in (face.lips, face.upper_face, face.eyes):
        above[torch.as_tensor(moving)] = False
    found = above.nonzero()[:, 0]
    if len(found) < LEAST:
        raise NotComputed(
            f"the face has {len(found)} vertices above the mouth apart from brows and lids; {LEAST} are needed"
        )
    return found


def shape_distance(one: Tensor, other: Tensor) -> float:
    """Mean distance of points (P, 3) after the best similarity transform of one onto the other (Umeyama 1991)."""
    a, b = one - one.mean(0), other - other.mean(0)
    u, singular, v = torch.linalg.svd(a.T @ b)
    sign = torch.ones_like(singular)
    sign[-1] = torch.sign(torch.linalg.det(u @ v))
    scale = (singular * sign).sum() / a.square().sum().clamp(min=1e-12)
    return float(torch.linalg.vector_norm(scale * a @ (u * sign) @ v - b, dim=-1).mean())


def _median(vertices: Tensor) -> Tensor:
    return torch.quantile(vertices, 0.5, dim=0)
