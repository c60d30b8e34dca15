"""Distance between the sets of drawn and real frames of all clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, Literal, Self

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Performance, PooledMetric, Sizes

from . import pairs
from .config import FIDConfig
from .inception import WEIGHTS, Inception

Doubles = NDArray[np.float64]


@attrs.frozen(eq=False)
class Features:
    """Features of a clip's frames, both sides in float32.

    For clips of fewer than 4096 frames they are smaller than their moments, which take 34 MB per side.
    """

    prediction: NDArray[np.float32]
    """(T, 2048)."""
    reference: NDArray[np.float32]
    """(T, 2048)."""


class FID(PooledMetric):
    """Frechet inception distance of all drawn frames from all real ones, from 0.

    FID = |m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2))

    with means m and covariances S of the features of the Inception network of 2015, as defined by torchmetrics. Whole
    frames are used, because the outline of a region would be a feature of its own. With few frames the value is too
    large, by about 1 / n, and frames of one video are similar: only compare figures of the same clips. Below
    ``min_frames`` it is not computed. There is no bootstrap interval, because clips drawn twice lower the rank of the
    covariance.

    References: M. Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium,
    2017.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="fid", better="lower"),)

    chunk: ClassVar[int] = 8
    """Frames per batch."""

    def __init__(self, make_network: Callable[[], Callable[[Tensor], Tensor]], min_frames: int) -> None:
        """``make_network`` is called on first use; it returns a function from frames in [0, 1] to features."""
        self._make_network, self._min_frames = make_network, min_frames

    @classmethod
    def from_config(cls, config: FIDConfig, sizes: Sizes) -> Self:
        """Build; the weights are read on first use."""
        return cls(partial(Inception, config.weights), config.min_frames)

    @classmethod
    def files(cls, config: FIDConfig) -> list[Path]:
        """The weights file, if it is found."""
        return WEIGHTS.files(config.weights)

    @torch.no_grad()
    def part(self, prediction: Performance, reference: Performance) -> Features:
        """Features of frames (T, 3, Y, X) in [0, 1] of both sides.

        Raises :class:`vast_core.errors.NotComputed` if there are no weights, and
        :class:`vast_core.errors.WeightsError` if they are damaged or belong to another network.
        """
        x, y, _ = pairs.frames(prediction, reference, "fid")
        return Features(self._features(x), self._features(y))

    def pool(self, parts: Sequence[Features]) -> dict[str, float]:
        """FID of all clips. Raises :class:`vast_core.errors.NotComputed` if they have too few frames."""
        frames = sum(len(part.prediction) for part in parts)
        if frames < self._min_frames:
            raise NotComputed(
                f"all clips together have {frames} frames, but FID needs at least {self._min_frames} (option "
                "`min_frames`): n frames determine the covariance of only n - 1 of its 2048 features, and fewer frames "
                "give larger values"
            )
        x = np.concatenate([part.prediction for part in parts])
        y = np.concatenate([part.reference for part in parts])
        return {"fid": frechet_distance(x, y)}

    @cached_property
    def _network(self) -> Callable[[Tensor], Tensor]:
        return self._make_network()

    def _features(self, frames: Tensor) -> NDArray[np.float32]:
        network = self._network
        return torch.cat([network(chunk) for chunk in torch.split(frames, self.chunk)]).numpy()


def frechet_distance(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """|m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) of samples (N, D) and (M, D), N and M at least 2.

    With S = R^T R, the eigenvalues of S_x S_y are the squares of the nonzero singular values of R_x R_y^T, so the trace
    of the root is their sum. This avoids the root of a matrix that is not symmetric, or of low rank.
    """
    (x_mean, x_root), (y_mean, y_root) = _mean_and_root(x), _mean_and_root(y)
    joint = np.linalg.svd(x_root @ y_root.T, compute_uv=False).sum()
    distance = np.square(x_mean - y_mean).sum() + np.square(x_root).sum() + np.square(y_root).sum() - 2 * joint
    return max(0.0, float(distance))  # rounding may make an identical pair negative


def _mean_and_root(samples: NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """Mean (D,) and R (at most D, D) with R^T R the covariance."""
    mean = samples.mean(0, dtype=np.float64)
    root: Doubles = (samples - mean) / np.sqrt(len(samples) - 1)
    if len(root) > root.shape[1]:
        root = np.asarray(np.linalg.qr(root, mode="r"))
    return mean, root
