"""NumPy arrays in one file, for programs of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vast_core.interfaces import SAMPLE_RATE
from vast_core.mesh import canonical_face

from .names import NAMES
from .take import Take


def write(take: Take, path: Path) -> None:
    """Write a compressed ``.npz`` that ``np.load(path)`` reads without pickle; lengths are in centimetres."""
    face = canonical_face()
    arrays: dict[str, Any] = {
        "fps": np.float64(take.fps),
        "times": take.times,
        "names": np.array(NAMES),
        "curves": take.curves.astype(np.float32),
        "shapes": take.shapes.astype(np.float32),
        "neutral": take.neutral.astype(np.float32),
        "vertices": take.vertices.astype(np.float32),
        "expression": take.expression.astype(np.float32),
        "head_rotation": take.rotation.astype(np.float32),
        "head_translation": take.translation.astype(np.float32),
        "triangles": face.triangles.astype(np.int32),
        "uv": face.uv,
        "texture": take.texture,
        "wave": take.wave,
        "sample_rate": np.int64(SAMPLE_RATE),
    }
    with path.open("wb") as file:  # by name, numpy would add its own ending
        np.savez_compressed(file, allow_pickle=False, **arrays)
