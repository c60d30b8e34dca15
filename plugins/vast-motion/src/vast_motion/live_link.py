"""CSV in the layout of Epic's Live Link Face, which importers of Unreal, Blender, Maya and others read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .head import angles
from .names import NAMES
from .take import Take

ROTATIONS = tuple(f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll"))

HEADER = ("Timecode", "BlendshapeCount", *(name[0].upper() + name[1:] for name in NAMES), *ROTATIONS)
"""The columns of a recording, in their order."""


def write(take: Take, path: Path) -> None:
    """Write one row a frame. Angles of the head are radians, in the directions of Unreal; the eyes look ahead."""
    turned = angles(take.rotation)
    # of Unreal's rotator: yaw is positive to the person's right, roll to the left shoulder
    head = turned * [-1.0, 1.0, -1.0]
    values = np.concatenate([take.curves, head, np.zeros((len(take), 6))], axis=1)
    count = str(values.shape[1])
    rows = [",".join(HEADER)]
    rows += [
        ",".join([timecode(number, take.fps), count, *(f"{value:.8f}" for value in row)])
        for number, row in enumerate(values + 0.0)  # no -0
    ]
    path.write_text("\n".join(rows) + "\n", encoding="ascii")


def timecode(frame: int, fps: float) -> str:
    """``hours:minutes:seconds:frames.subframe``, counted without drops at the next whole number of frames a second."""
    rate = max(1, round(fps))
    seconds, rest = divmod(frame, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}.000"
