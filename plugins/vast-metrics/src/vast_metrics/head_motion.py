"""Head rotation."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, Sizes

from . import pairs
from .config import HeadMotionConfig


class HeadMotion(Metric):
    """Mean speed of head rotation in deg/s, and the difference from the reference (+ faster, - slower).

    speed = fps / (T - 1) sum_t angle(R_t^T R_(t+1)),  angle(R) = atan2(|vee(R - R^T)| / 2, (tr R - 1) / 2)

    with R_t the rotation nearest to the pose's linear part, without its scale (polar decomposition). Translation and
    scale of the head are ignored: in footage of an unknown camera they mean little. A vast avatar takes its pose from
    its own footage, so this figure then describes that footage. Our choice.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="head_motion", better="neither", unit="deg/s"),
        Measure(name="head_motion_deviation", better="closer to 0", unit="deg/s"),
    )

    @classmethod
    def from_config(cls, config: HeadMotionConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both figures for poses (T, 3, 4) with T >= 2; the deviation is 0 for an identical pair.

        Raises :class:`vast_core.errors.NotComputed` if a side has no pose, ValueError if the poses do not match.
        """
        fps = pairs.rate(prediction, reference, "head_motion")
        x, y = prediction.pose, reference.pose
        if x is None or y is None:
            raise NotComputed(f"the head pose of the {'prediction' if x is None else 'reference'} is not known")
        if x.shape != y.shape:
            raise ValueError(
                f"head_motion: poses of the prediction are {tuple(x.shape)}, the reference's {tuple(y.shape)}"
            )
        ours, theirs = _speed(x, "prediction", fps), _speed(y, "reference", fps)
        return {"head_motion": ours, "head_motion_deviation": ours - theirs}


def _speed(pose: Tensor, side: str, fps: float) -> float:
    exact = pose.detach().to("cpu", torch.float64)
    if exact.ndim != 3 or exact.shape[1:] != (3, 4) or len(exact) < 2:
        raise ValueError(f"head_motion: poses of the {side} must be (T, 3, 4) with T > 1, not {tuple(exact.shape)}")
    if not torch.isfinite(exact).all():
        raise ValueError(f"head_motion: poses of the {side} are not finite")
    u, _, v = torch.linalg.svd(exact[:, :, :3])
    turn = (u @ v)[:-1].mT @ (u @ v)[1:]
    skew = turn - turn.mT
    sine = torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], -1).norm(dim=-1) / 2
    cosine = (turn.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2
    return float(torch.rad2deg(torch.atan2(sine, cosine)).mean()) * fps
