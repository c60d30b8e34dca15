"""The clip that an avatar plays while it speaks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import cattrs
import cv2
import numpy as np
from torch import Tensor

from ..errors import InputError, StorageError
from ..mesh.scene import Crop, Image
from ..runs.weights import load_weights, save_weights


@attrs.frozen(kw_only=True, eq=False)
class BaseClip:
    """What of an avatar's footage is needed to let it speak; the frames themselves stay in the footage."""

    avatar: str
    source: str
    """Name of the corpus' clip."""
    start: int
    """Its first frame that is played."""
    crop: Crop
    identity: Tensor
    """(V, 3), canonical."""
    pose: Tensor
    """(T, 3, 4)."""
    displacement: Tensor
    """(T, V, 3), canonical: the face as it was."""
    texture: Tensor
    """(U, U, 3), uint8."""

    def save(self, path: Path, header: dict[str, Any]) -> None:
        """Write it beside the weights."""
        tensors = {a: getattr(self, a) for a in ("identity", "pose", "displacement", "texture")}
        facts = {"avatar": self.avatar, "source": self.source, "start": self.start, "crop": attrs.asdict(self.crop)}
        save_weights(path, tensors, {"what": "avatar", **facts, **header})

    @classmethod
    def load(cls, path: Path) -> BaseClip:
        """Read what :meth:`save` wrote."""
        tensors, header = load_weights(path)
        return cls(
            avatar=header["avatar"],
            source=header["source"],
            start=header["start"],
            crop=cattrs.structure(header["crop"], Crop),
            **{name: tensors[name] for name in ("identity", "pose", "displacement", "texture")},
        )

    def __len__(self) -> int:
        return len(self.pose)


def forward_and_back(length: int) -> Iterator[int]:
    """0, 1, ... length - 1, length - 2, ... 1, 0, 1, ... without end."""
    if length == 1:
        while True:
            yield 0
    while True:
        yield from range(length - 1)
        yield from range(length - 1, 0, -1)


class Spool:
    """Frames of the base clip on disk, losslessly, so that they can be played backwards at no cost in memory."""

    def __init__(self, frames: Iterator[Image], length: int, source: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vast-")
        count = 0
        for frame in frames:
            if count == length:
                break
            path = self._path(count)
            if not cv2.imwrite(str(path), frame[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1]):
                raise StorageError(f"{path}: cannot be written; is the temporary folder's disk full?")
            count += 1
        if count < length:
            raise InputError(f"{source}: only {count} of {length} frames could be read again; has the file changed?")

    def _path(self, number: int) -> Path:
        return Path(self._folder.name) / f"{number:06d}.png"

    def __getitem__(self, number: int) -> Image:
        image = cv2.imread(str(self._path(number)), cv2.IMREAD_COLOR)
        if image is None:
            raise StorageError(f"{self._path(number)}: has vanished; was the temporary folder cleaned?")
        return np.ascontiguousarray(image[..., ::-1])

    def close(self) -> None:
        """Remove the frames."""
        self._folder.cleanup()
