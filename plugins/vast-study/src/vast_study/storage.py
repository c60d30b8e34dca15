"""Where everything that a study knows is kept: judges, their tasks, their votes.

SQLite in WAL mode with ``synchronous = FULL``, or any database that SQLAlchemy reaches by a URL. A vote is acknowledged
after its transaction was committed to disk, so that it survives ``kill -9``. Times are seconds since the epoch.

Whatever is written through a :class:`Storage` is held to :mod:`vast_study.rules`, whoever writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Connection,
    Engine,
    ForeignKey,
    UniqueConstraint,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from vast_core.errors import InputError, StorageError

from .study import Study

PATIENCE = 30.0
"""Seconds to wait for another writer of SQLite: a vote takes milliseconds, so that hundreds may queue."""


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


class Storage:
    """The database of one study, for as many threads and processes as like."""

    def __init__(self, study: Study, engine: Engine) -> None:
        from .rules import watch

        self.study = study
        self.engine = engine
        self.sessions = sessionmaker(engine, expire_on_commit=False)
        """Makes sessions that may write; whatever they flush is held to the rules."""
        watch(self.sessions, study)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction that may write: on disk once this ends, undone where it ends by an exception.

        On SQLite writers go one after the other; whoever waits for longer than :data:`PATIENCE` gets
        :class:`StorageError`. Raises :class:`vast_study.rules.Refused` where a rule of the study is broken.
        """
        with self._told(), self.sessions.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads, and sees all tables as they are at its first query; it waits for nobody.

        Raises TypeError where something was changed.
        """
        with self._told(), Session(self.engine.execution_options(begin="BEGIN"), autoflush=False) as session:
            event.listen(session, "before_flush", _refuse_writing)
            yield session
            session.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (InterfaceError, OperationalError) as error:
            raise StorageError(f"{self.place}: {error.orig}; nothing of the last step was kept, try again") from error

    @property
    def place(self) -> str:
        """Where it is, for messages; without any password."""
        return self.engine.url.render_as_string(hide_password=True).removeprefix("sqlite:///")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def medium_path(study: Study, medium: Medium) -> Path:
    """The file of a video as judges get it."""
    return study.media / f"{medium.id}.mp4"


def _refuse_writing(*_: object) -> None:
    raise TypeError("this session only reads; write through Storage.session()")


def open_storage(study: Study) -> Storage:
    """The study's database, with its tables made where they are missing.

    Raises :class:`InputError` where the URL is wrong or its driver is not installed, and :class:`StorageError` where
    the database cannot be reached.
    """
    if study.database is None:
        path = study.folder / "study.sqlite"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path.parent}: cannot be made ({error.strerror}); give yourself access to it") from (
                error
            )
    storage = Storage(study, _engine(study.path, study.database or f"sqlite:///{study.folder / 'study.sqlite'}"))
    with storage.session() as session:
        Base.metadata.create_all(session.connection())
    return storage


def _engine(source: Path, url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_pre_ping=True)
        engine = create_engine(parsed, connect_args={"timeout": PATIENCE}, pool_size=16, max_overflow=64)
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(
            f"{source}: database: {error}; write a URL such as postgresql+pg8000://user@host/name"
        ) from error
    except ImportError as error:
        raise InputError(
            f"{source}: database: {error}; install the driver of that database, such as `pip install pg8000` for "
            "postgresql+pg8000://user@host/name"
        ) from error

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # or the driver begins transactions of its own, and too late
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"))

    return engine


def fact(session: Session, name: str) -> str | None:
    """What is known of the whole study under this name."""
    found = session.get(Fact, name)
    return None if found is None else found.value


def keep_fact(session: Session, name: str, value: str) -> None:
    """Note something about the whole study, in place of what was known before."""
    session.merge(Fact(name=name, value=value))
