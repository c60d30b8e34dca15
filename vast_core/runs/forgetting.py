"""Find everything in the cache and in runs that was made of one person's footage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import yaml

from ..errors import WeightsError
from ..files.names import composed
from .directory import ENVIRONMENT, RECIPE
from .weights import read_header

__all__ = ["Traces", "traces"]

FACE = "weights/face.safetensors"


@attrs.define
class Traces:
    """What was made of one person's footage."""

    found: list[tuple[Path, str]] = attrs.field(factory=list)
    """Folders, each with what it is."""
    unclear: list[tuple[Path, str]] = attrs.field(factory=list)
    """Folders of which it cannot be told."""
    footage: list[str] = attrs.field(factory=list)
    """The footage itself, as recipes of these runs name it."""


def traces(speaker: str, cache: Path, runs: list[Path]) -> Traces:
    """Everything of ``speaker`` in the cache and in the runs below some folders.

    A run counts if it was trained with the person's footage, whoever its avatar is: its weights have learned from it.
    """
    name, own = composed(speaker), Traces()
    _prepared(cache, name, own)
    _others(cache, name, own)
    for folder in runs:
        for environment in sorted(folder.rglob(ENVIRONMENT)):
            _run(environment.parent, cache, name, own)
    return own


def _prepared(cache: Path, name: str, own: Traces) -> None:
    for folder in _folders(cache / "prepared"):
        index = _json(folder / "index.json")
        speakers = {composed(clip["speaker"]) for clip in index.get("clips", ())}
        if name in speakers:
            own.found.append((folder, "prepared clips"))
        elif not index:
            own.unclear.append((folder, "prepared clips, not finished"))
    for folder in _folders(cache / "avatars"):
        index = _json(folder / "index.json")
        if composed(str(index.get("name", ""))) == name:
            own.found.append((folder, "pictures of the face"))
        elif not index:
            own.unclear.append((folder, "pictures of a face, not finished"))


def _others(cache: Path, name: str, own: Traces) -> None:
    for folder in _folders(cache / "tracks"):
        done = folder / "done"
        lines = done.read_text(encoding="utf-8").splitlines() if done.is_file() else []
        if lines and composed(lines[0]) == name:
            own.found.append((folder, "track of a clip"))
        elif len(lines) < 2:
            own.unclear.append((folder, "track of a clip"))
    if (folder := cache / "evaluation").is_dir():
        own.unclear.append((folder, "tracks of videos that `vast eval` compared"))


def _run(run: Path, cache: Path, name: str, own: Traces) -> None:
    speakers = _speakers(run, cache)
    if speakers is None:
        own.unclear.append((run, "run that does not say whose footage it has"))
    elif name in speakers:
        own.found.append((run, "run: weights, avatar, videos, report"))
        recipe = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8")) if (run / RECIPE).is_file() else {}
        path = (recipe.get("corpus") or {}).get("path")
        if path and str(path) not in own.footage:
            own.footage.append(str(path))


def _speakers(run: Path, cache: Path) -> set[str] | None:
    """Everybody whose footage a run was trained with; None if that cannot be told."""
    if not (run / FACE).is_file():
        return set() if not any((run / "weights").glob("*")) else None
    try:
        written = read_header(run / FACE).get("speakers")
    except WeightsError:
        return None
    if written is None:  # of a run that has not said it: its prepared clips know it, while they are there
        key = _json(run / "stages" / "prepare.json").get("key", "")
        clips = _json(cache / "prepared" / key / "index.json").get("clips") if key else None
        written = None if clips is None else [clip["speaker"] for clip in clips]
    return None if written is None else {composed(one) for one in written}


def _folders(place: Path) -> Iterator[Path]:
    return (folder for folder in sorted(place.glob("*")) if folder.is_dir())


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
