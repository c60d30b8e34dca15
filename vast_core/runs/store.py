"""Prepared clips on disk, memory-mapped: one safetensors file a clip and one index.

A prepared clip holds, frame by frame, ``expression`` (T, E), ``audio`` (T, A), ``pose`` (T, 3, 4), ``valid`` (T,) and
``displacement`` (T, V, 3, float16): the tracked face's distance from the speaker's neutral one, canonical. The
expression is what the models learn; the displacement is what was really seen, so that no metric is
flattered by what the expression basis leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import attrs
import cattrs
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError
from ..files.atomic import replacing, write_text
from .weights import load_weights, save_weights


@attrs.frozen(kw_only=True)
class RejectedClip:
    """A clip that could not be used, and why."""

    clip: str
    reason: str


@attrs.frozen(kw_only=True)
class PreparedClip:
    """What the index says of one prepared clip."""

    file: str
    name: str
    source: str
    """Name of the corpus' clip that it is a part of."""
    start: int
    """Number of the source's frame with which it starts."""
    frames: int
    """T."""
    speaker: str
    split: Literal["train", "held_out"]
    style: str | None
    heard: bool
    """False where the clip has no usable sound; its audio rows are zeros."""
    offset_ms: float
    """By how much the sound was late; it has been corrected."""
    image_size: tuple[int, int]
    """(Y, X) of the footage."""
    notes: tuple[str, ...]


@attrs.frozen(slots=False)
class Store:
    """A folder of prepared clips."""

    path: Path

    def write_clip(self, clip: PreparedClip, arrays: Mapping[str, Tensor]) -> None:
        """Write one clip's arrays (see the module's docstring)."""
        own = {name: array.contiguous() for name, array in arrays.items()}
        with replacing(self.path / clip.file) as temporary:
            save_file(own, temporary)

    def write_index(self, clips: list[PreparedClip], rejected: list[RejectedClip]) -> None:
        """Write the index; it is written last, so that a folder with an index is whole."""
        plain = {"clips": cattrs.unstructure(clips), "rejected": cattrs.unstructure(rejected)}
        write_text(self.path / "index.json", json.dumps(plain, indent=1))

    def write_identities(self, identities: Mapping[str, Tensor]) -> None:
        """Write each speaker's neutral face (V, 3), canonical."""
        save_weights(self.path / "identities.safetensors", identities, {"what": "neutral faces by speaker"})

    @property
    def complete(self) -> bool:
        """Whether everything was written."""
        return (self.path / "index.json").is_file()

    @cached_property
    def _index(self) -> dict[str, list[dict[str, object]]]:
        path = self.path / "index.json"
        if not path.is_file():
            raise InputError(
                f"{path}: this recipe's clips are not prepared (or the cache was emptied, or the corpus changed); "
                "let the stage `prepare` run first"
            )
        index: dict[str, list[dict[str, object]]] = json.loads(path.read_text())
        return index

    @cached_property
    def clips(self) -> list[PreparedClip]:
        """All prepared clips, in the corpus' order."""
        return cattrs.structure(self._index["clips"], list[PreparedClip])

    @cached_property
    def rejected(self) -> list[RejectedClip]:
        """All clips that could not be used."""
        return cattrs.structure(self._index["rejected"], list[RejectedClip])

    @cached_property
    def identities(self) -> dict[str, Tensor]:
        """Each speaker's neutral face (V, 3), canonical."""
        return load_weights(self.path / "identities.safetensors")[0]

    def of(self, split: str, *, speaker: str | None = None, style: str | None = None) -> Iterator[PreparedClip]:
        """Clips of one split, of one speaker or style where given."""
        for clip in self.clips:
            if clip.split == split and speaker in (None, clip.speaker) and style in (None, clip.style):
                yield clip

    def read(self, clip: PreparedClip, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows ``start`` to ``stop`` of one array, as float32 (``valid`` as bool); only these are read."""
        with safe_open(self.path / clip.file, framework="pt") as file:
            rows: Tensor = file.get_slice(name)[start : clip.frames if stop is None else stop]
        return rows if rows.dtype == torch.bool else rows.float()

    def vertices(self, clip: PreparedClip) -> Tensor:
        """The tracked face (T, V, 3), canonical."""
        return self.identities[clip.speaker] + self.read(clip, "displacement")
