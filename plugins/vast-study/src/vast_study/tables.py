"""The tables of a study: what was prepared, who judges, what is asked of them, and how they voted."""

from __future__ import annotations

from sqlalchemy import JSON, CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables of a study."""


class Fact(Base):
    """What belongs to the whole study: ``digest`` of its plan, ``experimenter`` (hash of the token), ``secret``."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Medium(Base):
    """A video as judges get it: re-encoded, without metadata, under a name that says nothing."""

    __tablename__ = "media"

    id: Mapped[str] = mapped_column(primary_key=True)
    """128 random bits, hexadecimal; the file is ``media/<id>.mp4``."""
    kind: Mapped[str]
    """As :data:`vast_study.study.TaskKind`."""
    system: Mapped[str | None]
    """None for training, gold and trap clips."""
    clip: Mapped[str]
    """Name of the source without its ending: the same words in all systems."""
    digest: Mapped[str]
    """Of the source file, of what was done to it, and of what is expected of it."""
    seconds: Mapped[float]
    expected: Mapped[dict[str, list[int]]] = mapped_column(JSON, default=dict)
    """Lowest and highest score that is right, by question; questions left out are not checked."""
    feedback: Mapped[str] = mapped_column(default="")
    """Shown in training after the scores are given."""


class Judge(Base):
    """One person, known by a link alone."""

    __tablename__ = "judges"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    """Counted from 1, and never given twice."""
    row: Mapped[int] = mapped_column(default=0)
    """Of the plan, from 0: it seeds what this judge sees. The row of who withdrew is given to a later judge."""
    link: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the 128 random bits of the personal link; the link itself is kept nowhere."""
    invited: Mapped[float]
    consented: Mapped[float | None]
    heard: Mapped[float | None]
    """When the headphones check was passed, or left."""
    headphones: Mapped[bool | None]
    """Whether it was passed; False of who went on without."""
    trained: Mapped[float | None]
    finished: Mapped[float | None]
    withdrawn: Mapped[float | None]
    completion_code: Mapped[str | None]


class Task(Base):
    """One video that one judge is to see, at its place in the order."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("judge_id", "position"),
        UniqueConstraint("judge_id", "medium_id"),
        CheckConstraint("closed IS NULL OR played IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    judge_id: Mapped[int] = mapped_column(ForeignKey("judges.id"), index=True)
    position: Mapped[int]
    """From 0 through training and all blocks."""
    block: Mapped[int]
    """0 is the training; a block that has been closed takes no more changes."""
    kind: Mapped[str]
    medium_id: Mapped[str] = mapped_column(ForeignKey("media.id"))
    opened: Mapped[float | None]
    """When its page was first shown."""
    played: Mapped[float | None]
    """When it had been played to its end for the first time."""
    closed: Mapped[float | None]
    """When its block ended."""


class Vote(Base):
    """The score of one task in one question, as it stands."""

    __tablename__ = "votes"
    __table_args__ = (
        UniqueConstraint("task_id", "question"),
        CheckConstraint("score BETWEEN 1 AND 5"),
        CheckConstraint("changes >= 0"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), index=True)
    question: Mapped[str]
    score: Mapped[int]
    given: Mapped[float]
    """When it was first given."""
    changed: Mapped[float]
    """When it was last changed; equal to ``given`` where it never was."""
    changes: Mapped[int]
