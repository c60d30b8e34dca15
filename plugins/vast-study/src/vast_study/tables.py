"""The tables of a study: prepared media, judges, their tasks, and their votes."""

from __future__ import annotations

from sqlalchemy import JSON, CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables of a study."""


class Fact(Base):
    """Facts about the whole study: ``digest`` of its plan, ``experimenter`` (hash of the token), ``secret``."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Medium(Base):
    """A video for judges: re-encoded, without metadata, under a random name."""

    __tablename__ = "media"

    id: Mapped[str] = mapped_column(primary_key=True)
    """128 random bits, hexadecimal; the file is ``media/<id>.mp4``."""
    kind: Mapped[str]
    """One of :data:`vast_study.study.TaskKind`."""
    system: Mapped[str | None]
    """None for training, gold and trap clips."""
    left: Mapped[str | None]
    """In a preference test, the system on the left; ``system`` is then the name of the pair."""
    clip: Mapped[str]
    """Name of the source without extension: the same words in all systems."""
    digest: Mapped[str]
    """Digest of the source file, its conversion, and the expected scores."""
    seconds: Mapped[float]
    expected: Mapped[dict[str, list[int]]] = mapped_column(JSON, default=dict)
    """Lowest and highest correct score, by question; omitted questions are not checked."""
    feedback: Mapped[str] = mapped_column(default="")
    """Shown in training after the scores are given."""


class Attempt(Base):
    """One event that counts for a limit, such as a wrong link; removed after some minutes."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    limit: Mapped[str]
    """Name of the limit."""
    address: Mapped[str] = mapped_column(index=True)
    """Keyed hash of the address from which it came."""
    at: Mapped[float]


class Judge(Base):
    """One person, identified only by a link."""

    __tablename__ = "judges"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    """Counted from 1, and never reused."""
    row: Mapped[int] = mapped_column(default=0)
    """Row of the plan, from 0, which determines what this judge sees. The row of a judge who withdrew is reused."""
    link: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the 128 random bits of the personal link; the link itself is not stored. It changes only with
    ``links``."""
    invited: Mapped[float]
    consented: Mapped[float | None]
    heard: Mapped[float | None]
    """Time when the headphones check was passed or skipped."""
    headphones: Mapped[bool | None]
    """Whether the check was passed; False for judges who continued without headphones."""
    trained: Mapped[float | None]
    finished: Mapped[float | None]
    withdrawn: Mapped[float | None]
    completion_code: Mapped[str | None]
    links: Mapped[int] = mapped_column(default=1)
    """Number of personal links that this judge was given; only the last is valid."""


class Task(Base):
    """One video for one judge, at its place in the order."""

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
    """0 is the training; a closed block accepts no more changes."""
    kind: Mapped[str]
    medium_id: Mapped[str] = mapped_column(ForeignKey("media.id"))
    opened: Mapped[float | None]
    """Time when its page was first shown."""
    played: Mapped[float | None]
    """Time of the first full playback."""
    closed: Mapped[float | None]
    """Time when its block ended."""


class Vote(Base):
    """The current score of one task in one question."""

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
    """Time when it was first given."""
    changed: Mapped[float]
    """Time of the last change; equal to ``given`` if there was none."""
    changes: Mapped[int]
