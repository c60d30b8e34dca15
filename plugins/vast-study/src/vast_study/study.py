"""Data model of a study: questions, systems and order, as in ``study.yaml``. Imports no server and no torch."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

HeadphonesCheck = Literal["required", "offered"]
"""Whether judges who fail the check, or have no headphones, may continue; the report says so if they do."""

TestKind = Literal["ratings", "preference"]
"""``ratings``: a score from 1 to 5 for each video. ``preference``: two videos side by side, and a forced choice."""

LEFT, RIGHT = 1, 2
"""The scores of a forced choice."""

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
    """The anchor at 5: a whole sentence, shown unchanged. Empty in a preference test."""
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
    test: TestKind = "ratings"
    headphones: HeadphonesCheck = "required"
    reference: str | None = None
    """The one of ``systems`` that is the recording, from which gold clips can be made."""
    made: Mapping[str, int] = attrs.field(factory=dict)
    """Number of known clips of each kind to make from the study's own clips, in addition to ``known``."""

    @property
    def choices(self) -> tuple[int, ...]:
        """The scores that a judge may give."""
        return (LEFT, RIGHT) if self.test == "preference" else (1, 2, 3, 4, 5)

    @property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """Every two systems by the name of their pair."""
        return {f"{one} | {other}": (one, other) for one, other in itertools.combinations(self.systems, 2)}

    @property
    def shown(self) -> tuple[str, ...]:
        """What is judged: systems, or in a preference test their pairs."""
        return tuple(self.pairs) if self.test == "preference" else tuple(self.systems)

    @property
    def folder(self) -> Path:
        """Folder of media and votes."""
        return self.path.with_name(f"{self.path.stem}.study")

    @property
    def media(self) -> Path:
        """Folder of the videos for judges."""
        return self.folder / "media"
