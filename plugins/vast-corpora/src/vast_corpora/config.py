"""Options of the corpora; imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import deep_iterable, ge, gt, le, lt, min_len, optional

from vast_core.recipe import Use, UseOfCorpus


@attrs.frozen(kw_only=True)
class SyntheticConfig:
    """Options of ``corpus/synthetic``."""

    seed: int = attrs.field(default=1, validator=ge(0))
    """Random seed of speakers, styles, assignment of sentences, blinks and head motion."""
    speakers: int = attrs.field(default=4, validator=[ge(1), le(8)])
    """Number of speakers; the first is the avatar."""
    styles: int = attrs.field(default=24, validator=ge(1))
    """Number of training styles; the first, ``style-00``, is neutral."""
    held_out_styles: int = attrs.field(default=6, validator=ge(0))
    """Number of styles excluded from training."""
    sentences: int = attrs.field(default=6, validator=ge(1))
    """Number of training sentences that each speaker says in each training style."""
    pool: int = attrs.field(default=36, validator=ge(1))
    """Number of sentences from which those are drawn; with fewer, more styles share a sentence."""
    recordings: tuple[Path, ...] = ()
    """Folders of recordings, each with a ``MANIFEST.tsv`` (file, speaker, seconds, transcript, phones), whose aligned
    ones are said instead of the sentences of this package, with their own voices: real sound with generated faces."""
    held_out_sentences: int = attrs.field(default=3, validator=ge(0))
    """Number of sentences excluded from training. Each speaker says all of them in each held-out style, and one speaker
    says one of them in each other style."""
    avatar_seconds: float = attrs.field(default=24.0, validator=ge(0.0))
    """Minimum additional footage of the first speaker, in seconds; every second clip of it is neutral."""
    image: int = attrs.field(default=192, validator=[ge(64), le(1024)])
    """Height and width (Y = X) of a frame, in pixels."""
    head_motion: float = attrs.field(default=1.0, validator=[ge(0.0), le(2.0)])
    """Scale of all head motion; 0 keeps every head still."""
    supersampling: int = attrs.field(default=2, validator=[ge(1), le(4)])
    """Factor by which frames are drawn larger before they are downsampled."""


def _pattern(group: str) -> Callable[[Any, Any, str], None]:
    """Return a validator for regular expressions with the named group ``group``."""

    def validate(instance: Any, attribute: Any, value: str) -> None:
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"{attribute.name} is not a regular expression: {error}: {value!r}") from None
        if group not in groups:
            raise ValueError(
                f"{attribute.name} must have a group named {group}, as in '(?P<{group}>[a-z]+)': {value!r}"
            )

    return validate


def _different(instance: Any, attribute: Any, value: tuple[str, ...]) -> None:
    if len(set(value)) < len(value):
        raise ValueError(f"{attribute.name} has duplicates: {', '.join(value)}")


@attrs.frozen(kw_only=True)
class FolderConfig:
    """Options of ``corpus/folder``."""

    path: Path
    """A folder of videos, searched recursively, or one video."""
    speaker: str | None = attrs.field(default=None, validator=optional(_pattern("speaker")))
    """Regular expression with a group ``speaker``, searched in each path relative to the folder (``anna/01.mp4``). By
    default the speaker is the first sub-folder or, without one, the file name up to ``_clip2``, ``-3``, or the like; of
    ``M030_front_happy_level3_001`` and ``M030_happy_1`` it is ``M030``."""
    style: str | None = attrs.field(default=None, validator=optional(_pattern("style")))
    """Regular expression with a group ``style``, searched in the same way; a path without a match has no style. By
    default the style is the second sub-folder, if there is one."""
    synthesised: bool = False
    """Whether videos that `vast synth` has made count as footage. Otherwise they are passed over, so that an avatar is
    not trained on itself."""
    manifest: str | None = None
    """CSV (or .tsv) under ``path`` with the column ``file`` and any of ``speaker``, ``style``, ``transcript`` and
    ``split`` (train or held_out). Only the files listed in it are used; for empty cells the rules above apply."""


@attrs.frozen(kw_only=True)
class UnionConfig:
    """Options of ``corpus/union``."""

    of: tuple[UseOfCorpus, ...] = attrs.field(validator=min_len(1))
    """The corpora. Without ``stages.renderer.avatar``, the avatar is a speaker of the first."""
    weights: tuple[float, ...] = attrs.field(default=(), validator=deep_iterable(ge(0.0)))
    """How often clips of each corpus are drawn in training, whatever its length; 1 each by default."""
    path: Path | None = None
    """Folder for all corpora of the union that have an option ``path``, in place of their own, so that a command can
    state it as for ``corpus/folder``."""

    @weights.validator
    def _one_each(self, attribute: attrs.Attribute[tuple[float, ...]], value: tuple[float, ...]) -> None:
        if value and len(value) != len(self.of):
            raise ValueError(f"weights has {len(value)} numbers for {len(self.of)} corpora; give one each, or none")

    @property
    def parts(self) -> list[tuple[Use, float]]:
        """Each corpus, with ``path`` filled in, and its weight."""
        uses = [self._filled(use) for use in self.of]
        return list(zip(uses, self.weights or [1.0] * len(uses), strict=True))

    def _filled(self, use: Use) -> Use:
        has_path = any(field.name == "path" for field in attrs.fields(type(use.config)))
        if self.path is None or not has_path:
            return use
        return attrs.evolve(use, config=attrs.evolve(use.config, path=self.path))


@attrs.frozen(kw_only=True)
class SpeechConfig:
    """Options of ``corpus/speech``."""

    folders: tuple[Path, ...] = ()
    """Folders of recordings, each with a ``MANIFEST.tsv`` (file, speaker, seconds, transcript, phones)."""
    engines: tuple[Literal["hibari", "flite"], ...] = attrs.field(default=("hibari",), validator=_different)
    """Engines of the synthetic voices: hibari-tts, which is installed with vast, and flite, a separate program."""
    minutes: float = attrs.field(default=60.0, validator=gt(0.0))
    """Minutes of synthetic speech per engine, estimated from the number of letters of its texts."""
    voices: int = attrs.field(default=64, validator=ge(0))
    """Number of random voices of hibari (pitch, tract and pace), in addition to its eight; flite has four."""
    seed: int = attrs.field(default=1, validator=ge(0))
    """Random seed of voices, texts, and their assignment."""
    held_out_speakers: float = attrs.field(default=0.1, validator=[ge(0.0), lt(1.0)])
    """Share of speakers, in [0, 1), excluded from training in a source (sub-folder) with more than 20 speakers."""
    held_out_sentences: float = attrs.field(default=1 / 3, validator=[ge(0.0), lt(1.0)])
    """Share of transcripts, in [0, 1), excluded from training in any other source; synthetic voices do not say them."""
