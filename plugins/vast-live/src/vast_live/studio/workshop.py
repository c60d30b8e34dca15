"""Does the work that waits, one piece at a time, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from vast_core.errors import InputError, StorageError

from .project import MAKING, Kind, Place, Project, Work
from .shelf import Shelf
from .watching import STAGES, STUDIO

__all__ = ["Workshop", "command"]

RECIPES = {"quick": "vast_quick", "train": "vast_footage"}
LANES: tuple[tuple[Kind, ...], ...] = (("look",), MAKING)
"""Work of one lane is done one after the other: looking at a new clip does not wait for an hour of training."""
PATIENCE = 20.0
"""Seconds in which a process may save its state before it is killed."""
POLITE = 5
"""By how much work yields to an avatar that speaks meanwhile."""


def command(kind: Kind, place: Place) -> list[str]:
    """The command of a piece of work; it goes on where an interrupted one has stopped."""
    if kind == "look":
        return [sys.executable, "-m", "vast_live.studio.looking", str(place.folder)]
    run = ["-m", "vast_core", "run", RECIPES[kind], "corpus.path=footage", "--out", str(place.run(kind))]
    return [sys.executable, *run, "--resume", "--stages", ",".join(STAGES)]


class Workshop:
    """Works on the projects of a shelf from :meth:`start` to :meth:`stop`."""

    def __init__(self, shelf: Shelf, command: Callable[[Kind, Place], Sequence[str]] = command) -> None:
        self._shelf, self._command = shelf, command
        self._ended = False
        self._processes: dict[tuple[str, Kind], subprocess.Popen[bytes]] = {}
        self._unwanted: set[tuple[str, Kind]] = set()
        """Work whose process was asked to stop."""
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), daemon=True, name=f"vast: {lane[-1]}") for lane in LANES
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Interrupt what is done, so that it goes on after the next start."""
        with self._shelf.changed:
            self._ended = True
            running = list(self._processes.values())
            self._shelf.changed.notify_all()
        for process in running:
            _end(process)
        for thread in self._threads:
            thread.join()

    def ask(self, project: Project, kind: Kind) -> Project:
        """Ask for a piece of work, unless it waits or runs already. Raises :class:`InputError` if there is no clip."""

        def asked(known: Project) -> Project:
            if known.clip is None:
                raise InputError("the clip was deleted; upload it again")
            before = known.works.get(kind)
            if before is not None and before.state in ("waiting", "running"):
                return known
            return known.with_work(kind, Work(state="waiting", asked=time.time()))

        return self._shelf.update(project.id, asked)

    def give_up(self, project: Project, kinds: Sequence[Kind]) -> None:
        """Stop pieces of work that wait or run; returns when their processes have gone."""
        for kind in kinds:
            with self._shelf.changed:
                known = self._shelf.get(project.id)
                work, process = known.works.get(kind), self._processes.get((project.id, kind))
                if work is None or work.state not in ("waiting", "running"):
                    continue
                if process is None:
                    self._shelf.put(project.id, kind, attrs.evolve(work, state="stopped"))
                    continue
                self._unwanted.add((project.id, kind))
            _end(process)
            with self._shelf.changed:
                while (project.id, kind) in self._processes:  # until what it has left is noted
                    self._shelf.changed.wait(1)

    def _work(self, lane: tuple[Kind, ...]) -> None:
        while True:
            with self._shelf.changed:
                while not self._ended and (found := self._shelf.next(lane)) is None:
                    self._shelf.changed.wait()
                if self._ended or found is None:
                    return
                project, kind = found
                work = attrs.evolve(project.works[kind], state="running", message="")
                began = time.monotonic()
                try:
                    self._shelf.put(project.id, kind, work)
                    process = self._begun(project, kind)
                except (OSError, StorageError) as error:
                    self._note(project, kind, attrs.evolve(work, state="failed", message=_why(error)))
                    continue
            code = process.wait()
            with self._shelf.changed:
                del self._processes[project.id, kind]
                stopped = (project.id, kind) in self._unwanted
                self._unwanted.discard((project.id, kind))
                took = round(work.seconds + time.monotonic() - began, 1)
                if code == 0:
                    work = attrs.evolve(work, state="done", seconds=took)
                elif stopped:
                    work = attrs.evolve(work, state="stopped", seconds=took)
                elif self._ended:
                    work = attrs.evolve(work, state="waiting", seconds=took)
                else:
                    why = _last_words(self._shelf.place(project).log(kind), code)
                    work = attrs.evolve(work, state="failed", seconds=took, message=why)
                self._note(project, kind, work)
                self._shelf.changed.notify_all()

    def _note(self, project: Project, kind: Kind, work: Work) -> None:
        """Keep the state of a piece of work; it has failed if that cannot be written."""
        with suppress(KeyError):  # it was deleted
            try:
                self._shelf.put(project.id, kind, work)
            except StorageError as error:
                self._shelf.remember(project.id, kind, attrs.evolve(work, state="failed", message=_why(error)))

    def _begun(self, project: Project, kind: Kind) -> subprocess.Popen[bytes]:
        place = self._shelf.place(project)
        place.pictures.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "VAST_CACHE": str(place.cache),
            STUDIO: f"{kind}:{place.folder}",
            "PYTHONUNBUFFERED": "1",
        }
        with place.log(kind).open("wb") as log:
            process = subprocess.Popen(
                self._command(kind, place),
                cwd=place.folder,
                env=environment,
                stdin=subprocess.PIPE,  # it closes when the studio has gone, even if that was killed
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C in the terminal of the studio is not meant for it: the studio ends it
            )
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, POLITE)
        self._processes[project.id, kind] = process
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process save its state and end; kill it if that takes too long."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _why(error: OSError | StorageError) -> str:
    """What could not be used."""
    if isinstance(error, StorageError):
        return str(error)
    return f"{error.filename}: cannot be used ({error.strerror}); free some space, then try again"


def _last_words(log: Path, code: int) -> str:
    """The error that a process has printed last."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    _, found, error = text.rpartition("Error: ")
    return error.strip()[:1000] if found else f"the process has ended with the code {code}; see {log.name}"
