"""Data model of a study: questions, systems and order, as in ``study.yaml``. Imports no server and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

HeadphonesCheck = Literal["required", "offered"]
"""Whether judges who fail the check, or have no headphones, may continue; the report says so if they do."""

TaskKind = Literal["training", "rated", "gold", "trap"]
"""``training`` gives feedback and never counts; ``gold`` has a known answer; ``trap`` shows in the picture which score
to give, so that judges who do not look fail it; ``rated`` is all the rest."""


@attrs.frozen(kw_only=True)
class Question:
    """One question with the scale from 1 to 5."""

    name: str
    """Name of the column in every table, such as ``sync``."""
    title: str
    text: str
    best: str
    """The anchor at 5: a whole sentence, shown unchanged."""
    worst: str
    """The anchor at 1: likewise."""
    labels: tuple[str, ...] = ("Very poor", "Poor", "Fair", "Good", "Very good")
    """Names of the scores from 1 to 5; empty for scores without a name."""


@attrs.frozen(kw_only=True)
class Known:
    """A clip with a known answer: for training, as gold, or as a trap."""

    file: Path
    kind: Literal["training", "gold", "trap"]
    expected: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    """Lowest and highest correct score, by question; omitted questions are not checked."""
    feedback: str = ""
    """Shown in training after the scores are given."""


@attrs.frozen(kw_only=True)
class Study:
    """All of ``study.yaml``; every path is absolute."""

    path: Path
    """``study.yaml`` itself; ``<its stem>.study/`` beside it holds ``media/`` and ``study.sqlite``."""
    name: str
    title: str
    contact: str
    """Contact for judges; shown on the consent page."""
    seed: int
    judges: int
    block: int
    """Clips between two pauses; the scores of a block may be changed until it ends."""
    questions: tuple[Question, ...]
    systems: dict[str, Path]
    """Folders of videos by system; videos with the same name show the same words."""
    known: tuple[Known, ...]
    consent: str
    """Paragraphs of the consent page."""
    clips: int | None
    """Number of clips of each system that a judge sees; None is all."""
    database: str | None
    """URL for SQLAlchemy; None is SQLite in the study's folder."""
    headphones: HeadphonesCheck = "required"
    reference: str | None = None
    """The one of ``systems`` that is the recording, from which gold clips can be made."""
    made: Mapping[str, int] = attrs.field(factory=dict)
    """Number of known clips of each kind to make from the study's own clips, in addition to ``known``."""

    @property
    def folder(self) -> Path:
        """Folder of media and votes."""
        return self.path.with_name(f"{self.path.stem}.study")

    @property
    def media(self) -> Path:
        """Folder of the videos for judges."""
        return self.folder / "media"
