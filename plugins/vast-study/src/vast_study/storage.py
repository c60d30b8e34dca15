"""Storage of a study: judges, their tasks, their votes.

SQLite in WAL mode with ``synchronous = FULL``, or any database that SQLAlchemy can reach by a URL. A vote is
acknowledged after its transaction has been committed to disk, so that it survives ``kill -9``. Times are seconds since
the epoch.

Everything written through a :class:`Storage` is checked by :mod:`vast_study.rules`.
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
    inspect,
    make_url,
)
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from vast_core.errors import InputError, StorageError

from .rules import watch
from .study import Study
from .tables import Base, Fact, Medium

PATIENCE = 30.0
"""Seconds to wait for another writer of SQLite: a vote takes milliseconds, so hundreds may queue."""


class Storage:
    """The database of one study, for any number of threads and processes."""

    def __init__(self, study: Study, engine: Engine) -> None:
        self.study = study
        self.engine = engine
        self.sessions = sessionmaker(engine, expire_on_commit=False)
        """Makes sessions that may write; everything they flush is checked by the rules."""
        watch(self.sessions, study)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction that may write: committed to disk when it ends, rolled back if it ends by an exception.

        On SQLite writers are serialised; waiting longer than :data:`PATIENCE` raises :class:`StorageError`. Raises
        :class:`vast_study.rules.Refused` if a rule of the study is broken.
        """
        with self._told(), self.sessions.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read-only transaction that sees all tables as they are at its first query; it never waits.

        Raises TypeError if something was changed.
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
            raise StorageError(f"{self.place}: {error.orig}; nothing of the last step was saved; try again") from error

    @property
    def place(self) -> str:
        """The location, for messages; without passwords."""
        return self.engine.url.render_as_string(hide_password=True).removeprefix("sqlite:///")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def medium_path(study: Study, medium: Medium) -> Path:
    """The file of a video for judges."""
    return study.media / f"{medium.id}.mp4"


def _refuse_writing(*_: object) -> None:
    raise TypeError("this session is read-only; write with Storage.session()")


def open_storage(study: Study) -> Storage:
    """The study's database; missing tables are created.

    Raises :class:`InputError` if the URL is wrong, its driver is not installed, or the tables are those of another
    version, and :class:`StorageError` if the database cannot be reached.
    """
    if study.database is None:
        path = study.folder / "study.sqlite"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path.parent}: cannot be created ({error.strerror}); check its permissions") from (
                error
            )
    storage = Storage(study, _engine(study.path, study.database or f"sqlite:///{study.folder / 'study.sqlite'}"))
    with storage.session() as session:
        Base.metadata.create_all(session.connection())
        _check(session.connection(), storage.place)
    return storage


def _check(connection: Connection, place: str) -> None:
    """Refuse tables with other columns than ours, which another version has made."""
    found = inspect(connection)
    for table in Base.metadata.sorted_tables:
        columns = {column["name"] for column in found.get_columns(table.name)}
        if odd := columns ^ set(table.columns.keys()):
            raise InputError(
                f"{place}: another version of vast-study wrote this database (its table {table.name} differs in "
                f"{', '.join(sorted(odd))}); continue with that version, or move the database away to start the "
                "study again"
            )


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
        connection.isolation_level = None  # otherwise the driver begins transactions itself, and too late
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"))

    return engine


def fact(session: Session, name: str) -> str | None:
    """The stored value of ``name`` for the whole study."""
    found = session.get(Fact, name)
    return None if found is None else found.value


def keep_fact(session: Session, name: str, value: str) -> None:
    """Store ``value`` under ``name`` for the whole study, replacing any previous value."""
    session.merge(Fact(name=name, value=value))
