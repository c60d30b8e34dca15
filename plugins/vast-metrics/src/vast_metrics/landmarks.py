"""Distance of the face from its reference position."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch

from vast_core.interfaces import Measure, Metric, Performance, Sizes

from . import pairs
from .config import LandmarkDistanceConfig


class LandmarkDistance(Metric):
    """Mean distance of corresponding vertices, over the lips and over the whole face, in mm.

    LMD = 1/(T |S|) sum_t sum_(v in S) |x_tv - y_tv|,  S = lips or all V vertices

    Vertices are canonical, without head pose, and no further alignment is applied: a misplaced mouth counts (our
    choice; the 2-D original first centres the mouth).

    References: L. Chen et al., Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss, 2019.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="landmark_distance_mouth", better="lower", unit="mm"),
        Measure(name="landmark_distance_face", better="lower", unit="mm"),
    )

    @classmethod
    def from_config(cls, config: LandmarkDistanceConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both distances for vertices (T, V, 3); 0 for an identical pair."""
        x, y = pairs.vertices(prediction, reference, "landmark_distance")
        distance = torch.linalg.vector_norm(x - y, dim=-1)
        lips = torch.as_tensor(reference.face.lips)
        return {
            "landmark_distance_mouth": float(distance[:, lips].mean()),
            "landmark_distance_face": float(distance.mean()),
        }
