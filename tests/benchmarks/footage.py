"""An avatar with footage of another size: the same run, its own video resized, and everything placed in it anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import attrs
import cv2

from vast_core.mesh import Image
from vast_core.runs.weights import read_header
from vast_core.speak.base_clip import BASE_VIDEO, BaseClip, Video
from vast_core.speak.packing import AVATAR

FPS = 25
KEPT = ("components",)
"""Entries of the file's header that are not the clip's own."""


def resized(run: Path, out: Path, rows: int, columns: int, most: int = 150) -> Path:
    """A copy of ``run`` in ``out`` with at most ``most`` frames of footage of (``rows``, ``columns``).

    The footage fills the height; what is missing at both sides is its mirror image.
    """
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("checkpoints", "samples", "tensorboard"))
    base = BaseClip.load(run / AVATAR)
    length, scale = min(len(base), most), rows / base.video.size[0]
    width = round(base.video.size[1] * scale)
    left = (columns - width) // 2

    def frames() -> Iterator[Image]:
        for _, frame in islice(base.play(run / BASE_VIDEO), length):
            large = cv2.resize(frame, (width, rows), interpolation=cv2.INTER_CUBIC)
            yield cv2.copyMakeBorder(large, 0, 0, left, columns - width - left, cv2.BORDER_REFLECT)

    pose, crop = scale * base.pose[:length], base.crop
    pose[:, 0, 3] += left
    attrs.evolve(
        base,
        video=Video.write(out / BASE_VIDEO, FPS, frames(), length, base.source),
        pose=pose,
        displacement=base.displacement[:length],
        crop=attrs.evolve(crop, x=crop.x * scale + left, y=crop.y * scale, side=crop.side * scale),
    ).save(out / AVATAR, {name: read_header(run / AVATAR)[name] for name in KEPT})
    return out
