"""Accuracy of lip motion."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.multimodal import lip_vertex_error

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, Sizes
from vast_core.media import pearson

from . import pairs
from .config import LipClosingConfig, LipCorrelationConfig, LipSizeConfig, LipVertexErrorConfig

STILL = 1e-6
"""Deviation of the opening, relative to the distance of the eyes, below which a mouth is still."""


class LipVertexError(Metric):
    """Mean over frames of the squared distance at the worst lip vertex, in mm^2.

    LVE = 1/T sum_t max_(v in lips) |x_tv - y_tv|^2

    Definition and arithmetic are those of torchmetrics' ``lip_vertex_error``, except that clips of different lengths
    are refused, whereas torchmetrics cuts the longer one.

    References: A. Richard et al., MeshTalk: 3D Face Animation from Speech using Cross-Modality Disentanglement, 2021.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (Measure(name="lip_vertex_error", better="lower", unit="mm²"),)

    @classmethod
    def from_config(cls, config: LipVertexErrorConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """LVE for vertices (T, V, 3); 0 for an identical pair."""
        x, y = pairs.vertices(prediction, reference, "lip_vertex_error")
        return {"lip_vertex_error": float(lip_vertex_error(x, y, reference.face.lips.tolist()))}


class LipCorrelation(Metric):
    """Pearson correlation of the inner-lip opening over time, in [-1, 1].

    r = sum_t (a_t - mean a)(b_t - mean b) / sqrt(sum_t (a_t - mean a)^2 sum_t (b_t - mean b)^2)

    with a_t and b_t the openings by ``Face.lip_opening``. It measures timing, not size: a mouth that opens half as
    wide at the right times has 1. For a mouth that never moves r is undefined and set to 0 (our choice).
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (Measure(name="lip_correlation", better="higher"),)

    @classmethod
    def from_config(cls, config: LipCorrelationConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    @torch.no_grad()
    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Pearson's r of two clips of T >= 2 frames; 1 for an identical pair whose mouth moves."""
        pairs.vertices(prediction, reference, "lip_correlation", frames=2)
        return {"lip_correlation": pearson(_opening(prediction, "prediction"), _opening(reference, "reference"))}


class LipSize(Metric):
    """Size of the lips' movement: deviation of the inner-lip opening over time, relative to the reference's.

    size = std_t a_t / std_t b_t,    deviation = size - 1

    with a_t and b_t the openings of prediction and reference by ``Face.lip_opening``. It measures size, not timing. A
    regression to the mean makes it too small. Our choice.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="lip_size", better="neither"),
        Measure(name="lip_size_deviation", better="closer to 0"),
    )

    @classmethod
    def from_config(cls, config: LipSizeConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    @torch.no_grad()
    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both figures for clips of T >= 2 frames; 1 and 0 for an identical pair.

        Raises :class:`vast_core.errors.NotComputed` if the reference's mouth never moves.
        """
        ours, theirs = _openings(prediction, reference, "lip_size")
        size = float(ours.std() / theirs.std())
        return {"lip_size": size, "lip_size_deviation": size - 1}


class LipClosing(Metric):
    """Whether lips close when they should, and stay open when they should.

    closing = share of frames with b_t <= q_15 for which a_t <= q_30
    wrong = share of frames with b_t > q_50 for which a_t <= q_30

    with a_t and b_t the openings of prediction and reference by ``Face.lip_opening``, and q_p percentile p of b. Our
    choice. A mouth that is always shut has 1 and 1, one that never closes 0 and 0: read both. For the reference itself
    they are 1 and 0.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="lip_closing", better="higher"),
        Measure(name="lip_closing_wrong", better="lower"),
    )

    @classmethod
    def from_config(cls, config: LipClosingConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    @torch.no_grad()
    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both shares for clips of T >= 2 frames; 1 and 0 for an identical pair.

        Raises :class:`vast_core.errors.NotComputed` if the reference's mouth never moves.
        """
        ours, theirs = _openings(prediction, reference, "lip_closing")
        shut, low, half = np.percentile(theirs, [15, 30, 50])
        closed = ours <= low
        if half >= theirs.max():
            raise NotComputed("the reference's mouth opens no wider than its median")
        return {
            "lip_closing": float(closed[theirs <= shut].mean()),
            "lip_closing_wrong": float(closed[theirs > half].mean()),
        }


def _openings(
    prediction: Performance, reference: Performance, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Openings (T,) of both sides; NotComputed if the reference's never changes."""
    pairs.vertices(prediction, reference, metric, frames=2)
    ours, theirs = (_opening(side, name) for side, name in ((prediction, "prediction"), (reference, "reference")))
    if theirs.std() < STILL:
        raise NotComputed("the reference's mouth never moves")
    return ours, theirs


def _opening(performance: Performance, side: str) -> NDArray[np.float64]:
    # On the original vertices, in their own unit and on the face's own device.
    vertices = pairs.present(performance.vertices, "lip_correlation", side, "vertices")
    return performance.face.lip_opening(vertices).to("cpu", torch.float64).numpy()
