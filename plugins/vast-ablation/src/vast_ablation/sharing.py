"""Sharing between runs of one ablation: a stage with the same key in two runs is executed once, and linked.

A run belongs to an ablation if it is in ``cells/<cell>/seed<n>`` of a folder with an ``ablation.json``, whoever started
it. Locks are held by the kernel and released when their process ends for any reason; a network file system must support
``flock``. Imports no torch.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import attrs

from vast_core.console import Terminal
from vast_core.files import replacing, write_text
from vast_core.runs import Run

from .results import FILE

PARENT = "VAST_ABLATION_PARENT"
"""Environment variable with the process that a run must not outlive."""

GRACE_SECONDS = 60.0
"""Seconds for a run to save its state after it has been told to stop."""

_HELD: dict[Path, IO[str]] = {}
"""Open locks of this process."""


@attrs.frozen
class Siblings:
    """The runs of one ablation, seen from one of them."""

    folder: Path
    run: Run

    @classmethod
    def of(cls, run: Run) -> Self | None:
        """The ablation that a run belongs to, if any."""
        cells, folder = ([*run.path.resolve().parents, Path(), Path(), Path()])[1:3]
        return cls(folder, run) if cells.name == "cells" and (folder / FILE).is_file() else None

    def lock_of(self, name: str) -> Path:
        """The file to lock for ``name``."""
        return self.folder / "locks" / name

    def start(self) -> None:
        """Wait for an earlier process in the same run's folder to end, and end when this process' parent does."""
        path = self.run.path.resolve()
        acquire(self.lock_of(f"{path.parent.name}-{path.name}"), f"{self.run.path} is being written by another process")
        parent = os.environ.get(PARENT)
        if parent is not None:
            threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()

    def bring(self, stage: str, key: str) -> None:
        """Take the stage's results from a run that has them; otherwise lock it, so that no other run executes it."""
        lock = self.lock_of(f"{stage}-{key}")
        acquire(lock, f"{stage}: waiting for another run of the ablation that is executing it")
        donor = next(self._finished(stage, key), None)
        if donor is not None:
            self._take(donor, stage)
            release(lock)

    def finished(self, stage: str) -> None:
        """Release the stage's results to other runs."""
        for lock in [lock for lock in _HELD if lock.parent == self.lock_of("") and lock.name.startswith(f"{stage}-")]:
            release(lock)

    def _finished(self, stage: str, key: str) -> Iterator[Run]:
        own = self.run.path.resolve()
        for record in sorted(self.folder.glob(f"cells/*/*/stages/{stage}.json")):
            path = record.parents[1]
            donor = Run(path, self.run.recipe, self.run.registry)
            if path != own and donor.finished(stage, key):
                yield donor

    def _take(self, donor: Run, stage: str) -> None:
        """Link the files of a stage (or copy them if links fail), its log and, last, its record."""
        record: dict[str, Any] = dict(donor.record(stage) or {})
        files = [Path(file) for file in record["files"]]
        figures = Path("stages", f"{stage}.figures.json")
        if (donor.path / figures).is_file():
            files.append(figures)
        for file in files:
            if not file.is_absolute() and ".." not in file.parts:  # files elsewhere are shared without a link
                _link(donor.path / file, self.run.path / file)
        self.run.forget(stage, after=-1)
        log = donor.path / "metrics.jsonl"
        if log.is_file():
            lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
            with (self.run.path / "metrics.jsonl").open("a", encoding="utf-8") as own:
                own.writelines(line for line in lines if line.endswith("\n") and json.loads(line)["stage"] == stage)
        taken = os.path.relpath(donor.path.resolve(), self.folder)
        record["taken_from"] = record.get("taken_from", taken)
        write_text(self.run.path / "stages" / f"{stage}.json", json.dumps(record, indent=1))
        Terminal().print(f"{stage}: taken from {taken}, where it is the same")


def _link(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        temporary.unlink()
        try:
            os.link(source.resolve(), temporary)
        except OSError:  # a different file system, or one without links
            shutil.copy2(source, temporary)


def acquire(path: Path, waiting: str) -> None:
    """Hold a lock until it is released or this process ends; ``waiting`` is printed if it is already held."""
    if path in _HELD:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        Terminal().print(waiting, style="dim")
        fcntl.flock(file, fcntl.LOCK_EX)
    _HELD[path] = file


def release(path: Path) -> None:
    """Release a lock, if it is held."""
    with suppress(KeyError):
        _HELD.pop(path).close()


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether no other process is inside a block with the same ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _end_with(parent: int) -> None:
    """Stop this process, as by Ctrl-C, when its parent changes because the original one was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
