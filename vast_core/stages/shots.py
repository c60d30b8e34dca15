"""Tracked shots, whose tracks are on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self, overload

import attrs
from safetensors import safe_open
from safetensors.torch import load_file

from ..interfaces import Clip, FaceTrack

FURTHER = "coefficients/"
"""Prefix of the names of further tracked coefficients, in files of tracks and prepared clips."""


@attrs.define(eq=False)
class Shot:
    """One tracked shot of one clip; the track is on disk."""

    clip: Clip
    file: Path
    frames: int
    start: int
    notes: tuple[str, ...]
    image_size: tuple[int, int]

    @classmethod
    def of(cls, clip: Clip, file: Path) -> Self:
        """The shot whose track is in ``file``."""
        with safe_open(file, framework="numpy") as opened:
            meta = opened.metadata()
            frames = opened.get_slice("vertices").get_shape()[0]
        rows, columns = map(int, meta["size"].split())
        return cls(clip, file, frames, int(meta["start"]), tuple(meta["notes"].splitlines()), (rows, columns))

    def track(self, stop: int | None = None) -> FaceTrack:
        """The track's frames up to ``stop``."""
        arrays = {name: tensor.numpy()[:stop] for name, tensor in load_file(self.file).items()}
        further = {name.removeprefix(FURTHER): arrays.pop(name) for name in list(arrays) if name.startswith(FURTHER)}
        return FaceTrack(start=self.start, notes=self.notes, coefficients=further, **arrays)


class Tracks(Sequence[FaceTrack]):
    """Tracks, read from disk on access, so that a large corpus need not fit in memory."""

    def __init__(self, shots: Sequence[Shot], stops: Sequence[int]) -> None:
        self._shots, self._stops = shots, stops

    def __len__(self) -> int:
        return len(self._shots)

    @overload
    def __getitem__(self, index: int) -> FaceTrack: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FaceTrack]: ...
    def __getitem__(self, index: int | slice) -> FaceTrack | Sequence[FaceTrack]:
        if isinstance(index, slice):
            return Tracks(self._shots[index], self._stops[index])
        return self._shots[index].track(self._stops[index])
