"""A lock that lets one process at a time work in a folder: another one is refused, or waits."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ..errors import InputError, StorageError

NAME = ".lock"
"""Name of the locked file in the folder. The file stays there; only its lock counts."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock ``folder`` until the end of the block or of the process; the folder is created if it is missing.

    Raises :class:`InputError` with the process if another process holds the lock, and :class:`StorageError` if the
    folder cannot be created.
    """
    with _opened(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: {_holder(folder)} works in this folder; wait until it has finished, stop it, or choose "
                "another --out"
            ) from error
        except OSError as error:  # some network file systems have no locks
            warnings.warn(f"{folder}: cannot be locked ({error.strerror}); start no second run there", stacklevel=3)
        _sign(file)
        yield


@contextmanager
def awaited(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Lock ``folder`` like :func:`held`, but wait for another process that holds the lock, and ``say`` so."""
    with _opened(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {_holder(folder)} which works in {folder}")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # no locks there: both do the work, and each file is replaced by its equal
            pass
        _sign(file)
        yield


def _opened(folder: Path) -> TextIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{folder}: cannot be created or written ({error.strerror}); free some space or choose another folder"
        ) from error


def _sign(file: TextIO) -> None:
    """Leave word of who holds the lock; a full disk takes nothing away but that."""
    with suppress(OSError):
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}))
        file.flush()


def _holder(folder: Path) -> str:
    """The process that holds the lock, as text."""
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return f"process {known['pid']} on {known['host']}, since {known['since']},"
    except (OSError, ValueError, KeyError):  # it has just started
        return "another process"
