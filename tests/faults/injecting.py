"""Faults inside the process that runs: writes that fail or that it does not survive, lost power, a clock that jumps.

They act where Python calls the system, so that nothing of vast is replaced.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Write = tuple[str, str]
"""``open``, ``force`` or ``rename``, and which file: a name that is the same in every process and for every folder."""


def which(path: str) -> str:
    """Folder and name of a file, without what differs from one process to another."""
    return re.sub(r"/([.][0-9a-f]{8})[.0-9a-f]*[.]part.*", r"/\1.part", "/".join(Path(path).parts[-2:]))


def kind(path: str) -> str:
    """Folder and name with ``*`` for every number and digest."""
    return re.sub(r"[0-9a-f]{16,}|\d{2,}", "*", "/".join(Path(path).parts[-2:]))


def at_each_write(act: Callable[[Write, str, str], None], below: Path) -> None:
    """Call ``act(write, path, new name)`` before each write below a folder; it may raise, or end the process.

    ``force`` comes when all content is written, ``rename`` when the file is about to get its name.
    """
    genuine = os.fsync

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike) and isinstance(arguments[2], int):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if arguments[2] & (os.O_WRONLY | os.O_RDWR) and Path(path).is_relative_to(below):
                act(("open", which(path)), path, "")
        elif event == "os.rename":
            path, name = (os.path.abspath(os.fsdecode(argument)) for argument in arguments[:2])
            if Path(name).is_relative_to(below):
                act(("rename", which(name)), path, name)

    def fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if Path(path).is_relative_to(below) and os.path.isfile(path):
            act(("force", which(path)), path, "")
        genuine(descriptor)

    sys.addaudithook(hook)
    os.fsync = fsync  # type: ignore[assignment]


def noting(file: Path, below: Path) -> Callable[[], None]:
    """A fault that is none: every write and its path are appended to ``file``."""

    def begin() -> None:
        notes = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        at_each_write(lambda write, path, name: _note(notes, *write, path, name), below)

    return begin


def killing(chosen: Write, below: Path, skipped: int = 0) -> Callable[[], None]:
    """The process is killed at one write, after ``skipped`` ones of its kind."""
    left = itertools.count(skipped, -1)

    def act(write: Write, path: str, name: str) -> None:
        if write == chosen and next(left) <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: at_each_write(act, below)


def full_disk(chosen: Write, below: Path) -> Callable[[], None]:
    """One kind of write finds no space left."""

    def act(write: Write, path: str, name: str) -> None:
        if write == chosen:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    return lambda: at_each_write(act, below)


def journaling(journal: Path) -> Callable[[], None]:
    """Every file that reaches the disk is noted with its size then, for :func:`lose_power`."""

    def begin() -> None:
        notes = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        genuine = os.fsync

        def fsync(descriptor: int) -> None:
            genuine(descriptor)
            status = os.fstat(descriptor)
            _note(notes, str(status.st_dev), str(status.st_ino), str(status.st_size))

        os.fsync = fsync  # type: ignore[assignment]

    return begin


def lose_power(journal: Path, *folders: Path) -> int:
    """Take from every file what had not reached the disk; the number of files that lost something."""
    forced: dict[tuple[int, int], int] = {}
    if journal.is_file():
        for line in journal.read_text().splitlines():
            device, inode, size = map(int, line.split("\t"))
            forced[device, inode] = size
    lost = 0
    for file in (file for folder in folders for file in folder.rglob("*") if file.is_file()):
        status = file.stat()
        size = forced.get((status.st_dev, status.st_ino), 0)
        if status.st_size > size:
            os.truncate(file, size)
            lost += 1
    return lost


def jumping_clock() -> None:
    """Every look at the clock of the calendar finds it a year earlier or later."""
    genuine, turn = time.time, itertools.count()

    def now() -> float:
        return genuine() + (-1) ** next(turn) * 365 * 86400

    time.time = now
    time.time_ns = lambda: int(now() * 1e9)
    show = time.strftime
    time.strftime = lambda form, *moment: show(form, *(moment or [time.localtime(now())]))  # type: ignore[assignment]


def _note(file: int, *words: str) -> None:
    os.write(file, ("\t".join(words) + "\n").encode())
