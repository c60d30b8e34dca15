"""All projects of a studio, in memory and on disk: every change is written at once, whole or not at all."""

from __future__ import annotations

import fcntl
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import attrs

from vast_core.errors import InputError, StorageError
from vast_core.files import read_results, safe_name, write_results

from .project import MAKING, VERSION, Kind, Place, Project, Work

__all__ = ["Deleted", "Shelf"]

ID = re.compile(r"[0-9a-f]{16}")
INCOMING, GOING = ".incoming-", ".deleted-"
"""Beginnings of the names of a file that is being received, and of a folder that is being deleted."""


@attrs.frozen
class Deleted:
    """One thing that was deleted."""

    what: str
    bytes: int


class Shelf:
    """The projects of a folder, which one studio at a time may open."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`InputError` if another studio has the folder, and :class:`StorageError` if it cannot be made.

        Work that was interrupted waits again; what was half received or half deleted is removed.
        """
        self.folder = folder
        self.changed = threading.Condition(threading.RLock())
        """Held while projects change, and told when they have."""
        self._file = _locked(folder)
        for leftover in (*folder.glob(f"{INCOMING}*"), *folder.glob(f"{GOING}*")):
            _remove(leftover)
        self._projects: dict[str, Project] = {}
        for path in folder.iterdir():
            if ID.fullmatch(path.name) and Place(path).state.is_file():
                project = read_results(Place(path).state, Project, VERSION, "vast serve --studio")
                self._projects[project.id] = project
                for kind, work in project.works.items():
                    if work.state == "running":
                        self.put(project.id, kind, attrs.evolve(work, state="waiting"))

    def close(self) -> None:
        """Let another studio open the folder."""
        self._file.close()

    # ------------------------------------------------------------------------------------------ reading

    def __iter__(self) -> Iterator[Project]:
        """All projects, the newest first."""
        with self.changed:
            return iter(sorted(self._projects.values(), key=lambda project: -project.added))

    def __len__(self) -> int:
        return len(self._projects)

    def get(self, number: str) -> Project:
        """The project with this id. Raises KeyError."""
        with self.changed:
            return self._projects[number]

    def place(self, project: Project) -> Place:
        """The folder of a project."""
        return Place(self.folder / project.id)

    def ahead(self, kind: Kind, work: Work) -> int:
        """How many pieces of work are done before one that waits."""
        same = MAKING if kind in MAKING else (kind,)
        others = [other for project in self for own, other in project.works.items() if own in same]
        return sum(o.state in ("waiting", "running") and o.asked < work.asked for o in others)

    def next(self, kinds: tuple[Kind, ...]) -> tuple[Project, Kind] | None:
        """The work of these kinds that has waited longest; None if none waits."""
        waiting = [
            (work.asked, project, kind)
            for project in self
            for kind, work in project.works.items()
            if kind in kinds and work.state == "waiting"
        ]
        return min(waiting, key=lambda item: item[0])[1:] if waiting else None

    # ----------------------------------------------------------------------------------------- changing

    def incoming(self, ending: str) -> Path:
        """A path for a file that is being received."""
        return self.folder / f"{INCOMING}{secrets.token_hex(8)}{ending}"

    def add(self, name: str, received: Path) -> Project:
        """A new project with a clip, which is moved to its folder, and looked at next."""
        speaker = safe_name(name)
        project = Project(
            id=secrets.token_hex(8),
            name=name,
            added=time.time(),
            clip=f"{speaker}/clip{received.suffix}",
            works={"look": Work(state="waiting", asked=time.time())},
        )
        place = self.place(project)
        clip = place.footage / str(project.clip)
        try:
            clip.parent.mkdir(parents=True)
            received.replace(clip)
        except OSError as error:
            raise StorageError(f"{clip}: cannot be written ({error.strerror}); free some space") from error
        self._write(project)
        return project

    def put(self, number: str, kind: Kind, work: Work) -> Project:
        """Change the state of one piece of work. Raises KeyError if the project is gone."""
        with self.changed:
            project = self._projects[number].with_work(kind, work)
            self._write(project)
            return project

    def update(self, number: str, change: Callable[[Project], Project]) -> Project:
        """Change a project. Raises KeyError if it is gone."""
        with self.changed:
            project = change(self._projects[number])
            self._write(project)
            return project

    def delete_clip(self, project: Project) -> list[Deleted]:
        """Delete the clip and everything that was computed of it, except an avatar that speaks."""
        place = self.place(project)
        gone = [
            *_emptied(place.footage, "the clip"),
            *_emptied(place.cache, "tracks and cut pictures of the clip"),
            *_emptied(place.pictures, "pictures of the tracker and of the work"),
        ]
        self.update(project.id, lambda known: attrs.evolve(known, clip=None))
        return gone

    def delete(self, project: Project) -> list[Deleted]:
        """Delete a project with everything in its folder."""
        place = self.place(project)
        gone = [
            Deleted(what, size)
            for path, what in (
                (place.footage, "the clip"),
                (place.cache, "tracks and cut pictures of the clip"),
                (place.pictures, "pictures of the tracker and of the work"),
                (place.run("quick"), "the avatar made without training"),
                (place.run("train"), "the trained avatar"),
            )
            if (size := _size(path))
        ]
        with self.changed:
            going = self.folder / f"{GOING}{project.id}"
            place.folder.rename(going)
            del self._projects[project.id]
            self.changed.notify_all()
        _remove(going)
        return gone

    def _write(self, project: Project) -> None:
        with self.changed:
            write_results(self.place(project).state, project)
            self._projects[project.id] = project
            self.changed.notify_all()


def _locked(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be used ({error.strerror}); choose another --folder") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InputError(
            f"{folder}: another studio works in this folder; stop it, or choose another --folder"
        ) from error
    return file


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0


def _emptied(path: Path, what: str) -> list[Deleted]:
    size = _size(path)
    _remove(path)
    return [Deleted(what, size)] if size else []


def _remove(path: Path) -> None:
    """Remove a file or a folder. Raises :class:`StorageError` if that is not possible."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be deleted ({error.strerror}); delete it by hand") from error
