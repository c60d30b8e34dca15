"""One process at a time works in a folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError, StorageError

NAME = ".lock"
"""The file in the folder that is locked; it stays there, as only its lock counts."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold ``folder``, made where it is missing, until the end of the block or of the process, however that ends.

    Raises :class:`InputError`, naming the process, where another one holds it, and :class:`StorageError` where the
    folder cannot be made.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made or written ({error.strerror}); choose another --out") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: {_holder(path)} works in this folder; wait until it has finished, stop it, or choose "
                "another --out"
            ) from error
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}))
        file.flush()
        yield


def _holder(path: Path) -> str:
    """The process that holds the lock, in words."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return f"process {known['pid']} on {known['host']}, since {known['since']},"
    except (OSError, ValueError, KeyError):  # it has only just begun
        return "another process"
