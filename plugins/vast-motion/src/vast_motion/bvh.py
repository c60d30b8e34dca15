"""BVH: rotation and translation of the head, and rotation of the jaw, in centimetres and degrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .head import CHIN, JAW, angles, jaw_of
from .take import Take

_HIERARCHY = """HIERARCHY
ROOT Head
{{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation
  JOINT Jaw
  {{
    OFFSET {jaw}
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {{
      OFFSET {chin}
    }}
  }}
}}
MOTION
Frames: {frames}
Frame Time: {seconds}
"""


def write(take: Take, path: Path) -> None:
    """Write one line a frame; rotations are about y, then x, then z, each in the frame that the one before turned."""
    head = np.degrees(angles(take.rotation))
    jaw = np.degrees(angles(jaw_of(take.vertices, take.neutral)))
    rows = np.concatenate([take.translation, head, jaw], axis=1) + 0.0  # no -0
    text = _HIERARCHY.format(
        jaw=_numbers(JAW),
        chin=_numbers(take.neutral[CHIN].mean(0) - JAW),
        frames=len(rows),
        seconds=repr(1 / take.fps),
    )
    path.write_text(text + "\n".join(map(_numbers, rows)) + "\n", encoding="ascii")


def _numbers(values: NDArray[Any]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
