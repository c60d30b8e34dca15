"""Prepared clips on disk, memory-mapped: one safetensors file per clip, and an index.

A prepared clip has, for each frame, ``expression`` (T, E), ``audio`` (T, A), ``pose`` (T, 3, 4), ``valid`` (T,) and
``displacement`` (T, V, 3, float16): the tracked face minus the speaker's neutral face, canonical. Models learn the
expression. Metrics use the displacement, which is what was tracked, so that the error of the expression basis counts.
It may have ``coefficients/<name>`` (T, K), further measurements of the tracker, and if the audio features are trained
``wave`` (S,), the sound of these frames at 16 kHz.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
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
from ..interfaces import AudioFeatures, listen
from .weights import load_weights, save_weights


@attrs.frozen(kw_only=True)
class RejectedClip:
    """A clip that could not be used, and the reason."""

    clip: str
    reason: str


def reasons(rejected: Iterable[RejectedClip], most: int = 5) -> list[str]:
    """Clips and reason in words, one line a reason: a reason of many clips is told once, with ``most`` of them."""
    clips: dict[str, list[str]] = {}
    for item in rejected:
        clips.setdefault(item.reason, []).append(item.clip)
    return [
        ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") + f": {reason}"
        for reason, names in clips.items()
    ]


@attrs.frozen(kw_only=True)
class PreparedClip:
    """Entry of the index for one prepared clip."""

    file: str
    name: str
    source: str
    """Name of the clip of the corpus to which it belongs."""
    start: int
    """Frame of the source at which it starts."""
    frames: int
    """Number of frames, T."""
    speaker: str
    group: str
    """Name of its group, see :meth:`vast_core.interfaces.Corpus.group`."""
    weight: float
    """Weight of its group."""
    split: Literal["train", "held_out"]
    style: str | None
    heard: bool
    """False if the clip has no usable sound; its audio rows are then zeros."""
    offset_ms: float
    """Milliseconds by which the sound was late; already corrected."""
    image_size: tuple[int, int]
    """(Y, X) of the footage."""
    notes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class _Index:
    """All prepared clips, in the order of the corpus, and all that could not be used."""

    clips: list[PreparedClip]
    rejected: list[RejectedClip]


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
        """Write the index. It is written last, so that a folder with an index is complete."""
        plain = {"clips": cattrs.unstructure(clips), "rejected": cattrs.unstructure(rejected)}
        write_text(self.path / "index.json", json.dumps(plain, indent=1))

    def write_identities(self, identities: Mapping[str, Tensor]) -> None:
        """Write each speaker's neutral face (V, 3), canonical."""
        save_weights(self.path / "identities.safetensors", identities, {"what": "neutral faces by speaker"})

    @property
    def complete(self) -> bool:
        """Whether everything is written."""
        return (self.path / "index.json").is_file()

    @cached_property
    def _index(self) -> _Index:
        path = self.path / "index.json"
        if not path.is_file():
            raise InputError(
                f"{path}: this recipe's clips are not prepared, or the cache was emptied, or the corpus changed; "
                "run the stage `prepare` first"
            )
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            return _Index(
                clips=cattrs.structure(plain["clips"], list[PreparedClip]),
                rejected=cattrs.structure(plain["rejected"], list[RejectedClip]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, cattrs.BaseValidationError) as error:
            raise InputError(
                f"{path}: is damaged ({error}); remove the folder {self.path} and prepare again"
            ) from error

    @property
    def clips(self) -> list[PreparedClip]:
        """All prepared clips, in the order of the corpus."""
        return self._index.clips

    @property
    def main_group(self) -> str:
        """Group of the first clip. In a union of corpora this is the first corpus, whose speakers the run is for."""
        return self.clips[0].group

    @property
    def rejected(self) -> list[RejectedClip]:
        """All clips that could not be used."""
        return self._index.rejected

    @cached_property
    def identities(self) -> dict[str, Tensor]:
        """Each speaker's neutral face (V, 3), canonical."""
        return load_weights(self.path / "identities.safetensors")[0]

    def of(self, split: str, *, speaker: str | None = None, style: str | None = None) -> Iterator[PreparedClip]:
        """Clips of one split, optionally of one speaker or style."""
        for clip in self.clips:
            if clip.split == split and speaker in (None, clip.speaker) and style in (None, clip.style):
                yield clip

    def read(self, clip: PreparedClip, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows ``start`` to ``stop`` of one array, as float32 (``valid`` as bool); other rows are not read."""
        with safe_open(self.path / clip.file, framework="pt") as file:
            rows: Tensor = file.get_slice(name)[start : clip.frames if stop is None else stop]
        return rows if rows.dtype == torch.bool else rows.float()

    def wave(self, clip: PreparedClip) -> Tensor:
        """The sound (S,) of a clip, synchronised; stored only if the audio features are trained."""
        with safe_open(self.path / clip.file, framework="pt") as file:
            wave: Tensor = file.get_tensor("wave")
        return wave

    def features(
        self, clip: PreparedClip, audio: AudioFeatures | None, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Audio features (T, A): the prepared ones, or if ``audio`` is trained, those computed from the wave."""
        if audio is None or not audio.trainable or not clip.heard:
            return self.read(clip, "audio", start, stop)
        device = next(audio.parameters()).device
        return listen(audio, self.wave(clip).numpy(), clip.frames, device)[start:stop]

    def vertices(self, clip: PreparedClip) -> Tensor:
        """The tracked face (T, V, 3), canonical."""
        return self.identities[clip.speaker] + self.read(clip, "displacement")
