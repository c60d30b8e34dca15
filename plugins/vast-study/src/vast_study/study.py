"""What a study is: its questions, systems and order, as ``study.yaml`` says. Imports no server and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

HeadphonesCheck = Literal["required", "offered"]
"""Whether judges who fail it, or have none, may go on; of those who do, the report says so."""

TaskKind = Literal["training", "rated", "gold", "trap"]
"""``training`` is told whether it was judged well and never counts; ``gold`` has a known answer; ``trap`` tells in the
picture which score to give, so that who does not look fails it; ``rated`` is all the rest."""


@attrs.frozen(kw_only=True)
class Question:
    """One question of the scale from 1 to 5."""

    name: str
    """Of the column in every table, such as ``sync``."""
    title: str
    text: str
    best: str
    """The anchor at 5: a whole sentence, shown as it is."""
    worst: str
    """The anchor at 1: likewise."""
    labels: tuple[str, ...] = ("Very poor", "Poor", "Fair", "Good", "Very good")
    """What the scores from 1 to 5 are called; a score without a name of its own has an empty one."""


@attrs.frozen(kw_only=True)
class Known:
    """A clip whose answer is known: for training, as gold, or as a trap."""

    file: Path
    kind: Literal["training", "gold", "trap"]
    expected: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    """Lowest and highest score that is right, by question; questions left out are not checked."""
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
    """Whom a judge may ask; shown on the consent page."""
    seed: int
    judges: int
    block: int
    """Clips between two pauses; the scores of a block may be changed until it ends."""
    questions: tuple[Question, ...]
    systems: dict[str, Path]
    """Folders of videos by the system that made them; videos of one name show the same words."""
    known: tuple[Known, ...]
    consent: str
    """Paragraphs of the consent page."""
    clips: int | None
    """How many clips of each system a judge sees; None: all."""
    database: str | None
    """SQLAlchemy's URL; None: SQLite beside the study."""
    headphones: HeadphonesCheck = "required"
    reference: str | None = None
    """Which of ``systems`` is the recorded truth, of which gold clips can be made."""
    made: Mapping[str, int] = attrs.field(factory=dict)
    """How many known clips of each kind are to be made of the study's own, beside those in ``known``."""

    @property
    def folder(self) -> Path:
        """Where media and votes are kept."""
        return self.path.with_name(f"{self.path.stem}.study")

    @property
    def media(self) -> Path:
        """Folder of the videos as judges get them."""
        return self.folder / "media"
