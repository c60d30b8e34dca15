"""The videos below a folder, and what there is passed over."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs

from vast_core.errors import MediaError
from vast_core.files import VIDEO_ENDINGS
from vast_core.media import is_spoken

from .consents import NAME as CONSENTS

TRASH = frozenset(
    (
        "$recycle.bin",
        "#recycle",
        "@eadir",
        "@recycle",
        "__macosx",
        "lost+found",
        "recycler",
        "system volume information",
    )
)
"""Folders that systems and network drives make, in lower case; like hidden ones they hold no footage."""

OWN = {"environment.json": "stages", "eval.json": "", "ablation.json": "", "study.sqlite": "", "compare.json": ""}
"""Files by which a folder is known as made by vast, with a folder that must be beside some."""

_SHOWN = 4
"""Examples of each reason in a message."""


@attrs.define
class Walk:
    """The videos below a folder; links to folders are followed, each folder once."""

    folder: Path
    synthesised: bool
    """Whether videos that avatars speak in count."""
    passed: dict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    """What was passed over, by the reason."""
    endings: Counter[str] = attrs.field(factory=Counter)

    def videos(self) -> list[Path]:
        """All videos, sorted by path."""
        return sorted(self._below(self.folder, {os.path.realpath(self.folder)}))

    def note(self) -> str:
        """What was passed over and why, in one message; empty if nothing was."""
        told = [f"{reason}: {_examples(names)}" for reason, names in self.passed.items()]
        if self.endings:
            counts = ", ".join(f"{ending or 'none'} ({count})" for ending, count in sorted(self.endings.items()))
            told.append(f"files with other endings: {counts}")
        return f"{self.folder}: passed over:\n" + "\n".join(f"  {line}" for line in told) if told else ""

    def _below(self, folder: Path, inside: set[str]) -> Iterator[Path]:
        try:
            entries = sorted(os.scandir(folder), key=lambda own: own.name)
        except OSError as error:
            self._pass(f"folders that cannot be read ({error.strerror})", folder)
            return
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir():
                yield from self._entered(path, inside)
            elif path.suffix.lower() not in VIDEO_ENDINGS:
                if not entry.name.startswith(".") and entry.name != CONSENTS:
                    self.endings[path.suffix.lower()] += 1
            elif not entry.is_file():
                self._pass("links that lead nowhere", path)
            elif entry.name.startswith("."):
                self._pass("hidden files", path)
            elif not self.synthesised and _spoken(path, *_state(entry)):
                self._pass("videos in which an avatar of vast speaks", path)
            else:
                yield path

    def _entered(self, path: Path, inside: set[str]) -> Iterator[Path]:
        real = os.path.realpath(path)
        if path.name.startswith(".") or path.name.lower() in TRASH:
            self._pass("hidden folders and trash", path)
        elif any((path / name).is_file() and (path / beside).is_dir() for name, beside in OWN.items()):
            self._pass("folders that vast has written", path)
        elif real in inside:
            self._pass("links to folders that are read anyway", path)
        else:
            inside.add(real)
            yield from self._below(path, inside)

    def _pass(self, reason: str, path: Path) -> None:
        self.passed[reason].append(path.relative_to(self.folder).as_posix())


def _examples(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _state(entry: os.DirEntry[str]) -> tuple[int, int]:
    status = entry.stat()
    return status.st_size, status.st_mtime_ns


@cache
def _spoken(path: Path, size: int, modified: int) -> bool:
    try:
        return is_spoken(path)
    except MediaError:  # told of when it is read
        return False
