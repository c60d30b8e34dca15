"""A lock that lets one process at a time work in a folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError, StorageError

NAME = ".lock"
"""Name of the locked file in the folder. The file stays there; only its lock counts."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock ``folder`` until the end of the block or of the process; the folder is created if it is missing.

    Raises :class:`InputError` with the process if another process holds the lock, and :class:`StorageError` if the
    folder cannot be created.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be created or written ({error.strerror}); use another --out") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: {_holder(path)} works in this folder; wait until it has finished, stop it, or choose "
                "another --out"
            ) from error
        except OSError as error:  # some network file systems have no locks
            warnings.warn(f"{folder}: cannot be locked ({error.strerror}); start no second run there", stacklevel=3)
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}))
        file.flush()
        yield


def _holder(path: Path) -> str:
    """The process that holds the lock, as text."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return f"process {known['pid']} on {known['host']}, since {known['since']},"
    except (OSError, ValueError, KeyError):  # it has just started
        return "another process"
