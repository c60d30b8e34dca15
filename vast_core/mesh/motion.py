"""Head motion: the pose of a head relative to its rest pose."""

from __future__ import annotations

import torch
from torch import Tensor


def rest_pose(pose: Tensor) -> Tensor:
    """The pose (3, 4), of the poses (T, 3, 4) of a clip, that lies nearest to their mean."""
    return pose[int((pose - pose.mean(0)).square().sum((1, 2)).argmin())]


def head_motion(pose: Tensor, rest: Tensor) -> Tensor:
    """Motion (..., 3, 4) in the canonical frame that, before the pose ``rest`` (3, 4), gives ``pose`` (..., 3, 4)."""
    moved = pose.clone()
    moved[..., 3] -= rest[:, 3]
    motion: Tensor = torch.linalg.solve(rest[:, :3].expand(*pose.shape[:-2], 3, 3), moved)
    return motion


def with_motion(rest: Tensor, motion: Tensor) -> Tensor:
    """Pose (..., 3, 4) of a head that rests in ``rest`` (3, 4) and has moved by ``motion`` (..., 3, 4)."""
    pose = rest[:, :3] @ motion
    pose[..., 3] += rest[:, 3]
    return pose
