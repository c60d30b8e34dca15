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
    Connection,
    Engine,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from vast_core.errors import InputError, StorageError

from .rules import watch
from .study import Study
from .tables import Base, Fact, Medium

PATIENCE = 30.0
"""Seconds to wait for another writer of SQLite: a vote takes milliseconds, so that hundreds may queue."""


class Storage:
    """The database of one study, for as many threads and processes as like."""

    def __init__(self, study: Study, engine: Engine) -> None:
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
