"""Options of the corpora, declared without importing anything heavy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, lt, optional


@attrs.frozen(kw_only=True)
class SyntheticConfig:
    """Options of ``corpus/synthetic``."""

    seed: int = attrs.field(default=1, validator=ge(0))
    """Decides speakers, styles, who says what, blinks and head motion."""
    speakers: int = attrs.field(default=4, validator=[ge(1), le(8)])
    """Speakers; the first is the avatar."""
    styles: int = attrs.field(default=24, validator=ge(1))
    """Styles to train on; the first, ``style-00``, is neutral."""
    held_out_styles: int = attrs.field(default=6, validator=ge(0))
    """Styles never trained on."""
    sentences: int = attrs.field(default=6, validator=ge(1))
    """Training sentences that each speaker says in each training style."""
    pool: int = attrs.field(default=36, validator=ge(1))
    """Sentences from which those are drawn: the fewer, the more styles say the same."""
    held_out_sentences: int = attrs.field(default=3, validator=ge(0))
    """Sentences never trained on; each speaker says all in each held-out style, and someone one in each other style."""
    avatar_seconds: float = attrs.field(default=24.0, validator=ge(0.0))
    """Further footage of the first speaker, at least so long; every second clip of it is neutral."""
    image: int = attrs.field(default=192, validator=[ge(64), le(1024)])
    """Y = X of a frame, in pixels."""
    head_motion: float = attrs.field(default=1.0, validator=[ge(0.0), le(2.0)])
    """Scale of all head motion; 0 holds every head still."""
    supersampling: int = attrs.field(default=2, validator=[ge(1), le(4)])
    """Frames are drawn so many times larger and reduced."""


def _pattern(group: str) -> Callable[[Any, Any, str], None]:
    """Validate a regular expression with the named group ``group``."""

    def validate(instance: Any, attribute: Any, value: str) -> None:
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"{attribute.name} is no regular expression: {error}: {value!r}") from None
        if group not in groups:
            raise ValueError(
                f"{attribute.name} must hold a group named {group}, as in '(?P<{group}>[a-z]+)': {value!r}"
            )

    return validate


def _different(instance: Any, attribute: Any, value: tuple[str, ...]) -> None:
    if len(set(value)) < len(value):
        raise ValueError(f"{attribute.name} names one twice: {', '.join(value)}")


@attrs.frozen(kw_only=True)
class FolderConfig:
    """Options of ``corpus/folder``."""

    path: Path
    """A folder of videos, searched to every depth, or one video."""
    speaker: str | None = attrs.field(default=None, validator=optional(_pattern("speaker")))
    """Regular expression with a group ``speaker``, searched in each path below the folder (``anna/01.mp4``). Without
    one the speaker is the first sub-folder or, where there is none, the file's name up to ``_clip2``, ``-3``, or so."""
    style: str | None = attrs.field(default=None, validator=optional(_pattern("style")))
    """The same with a group ``style``; a path in which it finds nothing has no style. Without one the style is the
    second sub-folder, where there is one."""
    manifest: Path | None = None
    """CSV (or .tsv) below ``path`` with the column ``file`` and any of ``speaker``, ``style``, ``transcript`` and
    ``split`` (train or held_out). Only the files that it lists are used; an empty cell leaves it to the rules above."""


@attrs.frozen(kw_only=True)
class SpeechConfig:
    """Options of ``corpus/speech``."""

    folders: tuple[Path, ...] = ()
    """Folders of recordings, each with a ``MANIFEST.tsv`` (file, speaker, seconds, transcript, phones)."""
    engines: tuple[Literal["hibari", "flite"], ...] = attrs.field(default=("hibari",), validator=_different)
    """What synthetic voices come from: hibari-tts, which is installed along, and flite, a program to install."""
    minutes: float = attrs.field(default=60.0, validator=gt(0.0))
    """Synthetic speech of each engine, as estimated from the letters of its texts."""
    voices: int = attrs.field(default=64, validator=ge(0))
    """Voices drawn at random for hibari (pitch, tract and pace), besides its eight; flite's are four."""
    seed: int = attrs.field(default=1, validator=ge(0))
    """Decides voices, texts, and who says what."""
    held_out_speakers: float = attrs.field(default=0.1, validator=[ge(0.0), lt(1.0)])
    """Share of speakers never trained on, in a source (sub-folder) of recordings that has more than 20."""
    held_out_sentences: float = attrs.field(default=1 / 3, validator=[ge(0.0), lt(1.0)])
    """Share of transcripts never trained on, in any other source; no voice says them either."""
