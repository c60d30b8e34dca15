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
import yaml

from vast_core.errors import InputError, StorageError
from vast_core.files import read_results, safe_name, write_results, write_text
from vast_core.interfaces import Consent

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

        Work that was interrupted waits again; what was half received, half added or half deleted is removed.
        """
        self.folder = folder
        self.changed = threading.Condition(threading.RLock())
        """Held while projects change, and told when they have."""
        self._file = _locked(folder)
        for leftover in (*folder.glob(f"{INCOMING}*"), *folder.glob(f"{GOING}*")):
            _remove(leftover)
        self._projects: dict[str, Project] = {}
        for path in [path for path in folder.iterdir() if ID.fullmatch(path.name)]:
            if not Place(path).state.is_file():
                _remove(path)
                continue
            project = read_results(Place(path).state, Project, VERSION, "vast serve --studio")
            self._projects[project.id] = project
            if project.clip is None:
                self._without_clip(project)
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

    def add(self, name: str, received: Path, consent: Consent) -> Project:
        """A new project with a clip, which is moved to its folder, and looked at next.

        What the person has agreed to is written beside the clip, where its runs find it.

        Raises :class:`StorageError` if it cannot be written; nothing is left then.
        """
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
            agreed = attrs.asdict(consent, filter=lambda _, value: value is not None)
            write_text(place.consent, yaml.safe_dump({speaker: agreed}, allow_unicode=True, sort_keys=False))
            received.replace(clip)
            self._write(project)
        except (OSError, StorageError) as error:
            _remove(place.folder)
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"{clip}: cannot be written ({error.strerror}); free some space") from error
        return project

    def put(self, number: str, kind: Kind, work: Work) -> Project:
        """Change the state of one piece of work. Raises KeyError if the project is gone."""
        with self.changed:
            project = self._projects[number].with_work(kind, work)
            self._write(project)
            return project

    def remember(self, number: str, kind: Kind, work: Work) -> None:
        """Change the state of one piece of work until the studio ends, where it cannot be written.

        Raises KeyError if the project is gone.
        """
        with self.changed:
            self._projects[number] = self._projects[number].with_work(kind, work)
            self.changed.notify_all()

    def update(self, number: str, change: Callable[[Project], Project]) -> Project:
        """Change a project. Raises KeyError if it is gone."""
        with self.changed:
            project = change(self._projects[number])
            self._write(project)
            return project

    def delete_clip(self, project: Project) -> list[Deleted]:
        """Delete the clip and everything that was made of it, except an avatar that is done.

        Raises :class:`InputError` if somebody has asked for work on it again, and KeyError if it is gone.
        """
        with self.changed:
            known = attrs.evolve(self._at_rest(project.id), clip=None)
            self._write(known)
        return self._without_clip(known)

    def delete(self, project: Project) -> list[Deleted]:
        """Delete a project with everything in its folder. Raises as :meth:`delete_clip`."""
        place, going = self.place(project), Place(self.folder / f"{GOING}{project.id}")
        with self.changed:
            self._at_rest(project.id)
            try:
                place.folder.rename(going.folder)
            except OSError as error:
                raise StorageError(f"{place.folder}: cannot be deleted ({error.strerror})") from error
            del self._projects[project.id]
            self.changed.notify_all()
        avatars = [
            ("the avatar made without training", [going.run("quick")]),
            ("the trained avatar", [going.run("train")]),
        ]
        gone = _measured([*_of_clip(going), *avatars])
        _remove(going.folder)
        return gone

    def _at_rest(self, number: str) -> Project:
        """The project, on which nothing is done."""
        project = self._projects[number]
        if any(work.state in ("waiting", "running") for work in project.works.values()):
            raise InputError("somebody has asked for work on this meanwhile; try again")
        return project

    def _without_clip(self, project: Project) -> list[Deleted]:
        """Delete what is left of a clip."""
        place = self.place(project)
        unfinished = [
            place.run(kind) for kind in MAKING if kind not in project.works or project.works[kind].state != "done"
        ]
        parts = [*_of_clip(place), ("avatars that were not finished", unfinished)]
        gone = _measured(parts)
        for _, paths in parts:
            for path in paths:
                _remove(path)
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


def _of_clip(place: Place) -> list[tuple[str, list[Path]]]:
    """What is made of a clip, without avatars."""
    kinds: tuple[Kind, ...] = ("look", *MAKING)
    notes = [path for kind in kinds for path in (place.progress(kind), place.log(kind))]
    return [
        ("the clip", [place.footage]),
        ("tracks and cut pictures of the clip", [place.cache]),
        ("pictures of the tracker and of the work", [place.pictures]),
        ("findings and logs", [place.findings, *notes]),
    ]


def _measured(parts: list[tuple[str, list[Path]]]) -> list[Deleted]:
    """Those parts that are there, with their sizes."""
    sizes = [(what, sum(map(_size, paths))) for what, paths in parts]
    return [Deleted(what, size) for what, size in sizes if size]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


def _remove(path: Path) -> None:
    """Remove a file or a folder. Raises :class:`StorageError` if that is not possible."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be deleted ({error.strerror}); delete it by hand") from error
