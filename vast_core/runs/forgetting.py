"""Find everything in the cache and in runs that was made of one person's footage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

from ..errors import WeightsError
from ..files.names import composed
from ..files.remote import names_there, text_there
from ..places import located, mirror_root, url_of
from .directory import ENVIRONMENT, RECIPE
from .weights import read_header

__all__ = ["Trace", "Traces", "traces"]

FACE = "weights/face.safetensors"


@attrs.frozen
class Trace:
    """A folder that was made of one person's footage."""

    path: Path
    what: str
    """In words."""
    locked: bool = True
    """Whether whoever works in the folder locks it."""
    there: bool = False
    """Whether what the folder stands for, in a cache at a URL, was made of the footage, too."""


@attrs.define
class Traces:
    """What was made of one person's footage."""

    found: list[Trace] = attrs.field(factory=list)
    """Runs, then folders of the cache."""
    unclear: list[tuple[Path, str]] = attrs.field(factory=list)
    """Folders of which it cannot be told."""
    footage: list[str] = attrs.field(factory=list)
    """The footage itself, as recipes of these runs name it."""


def traces(speaker: str, cache: Path, runs: list[Path]) -> Traces:
    """Everything of ``speaker`` in the cache and in the runs below some folders.

    A run counts if it was trained with the person's footage, whoever its avatar is: its weights have learned from it.
    Of a cache at a URL, what is there counts, too. Copies of footage by URL count as a whole, whoever else they show.

    Raises :class:`vast_core.errors.UnreachableError` if the URL of the cache cannot be reached.
    """
    name, own = composed(speaker), Traces()
    for folder in runs:
        for environment in sorted(folder.rglob(ENVIRONMENT)):
            _run(environment.parent, cache, name, own)
    _prepared(cache, name, own)
    _others(cache, name, own)
    _copies(cache, own)
    return own


def _prepared(cache: Path, name: str, own: Traces) -> None:
    for folder, index in _indexed(cache / "prepared"):
        speakers = {composed(clip["speaker"]) for clip in index.get("clips", ())}
        if name in speakers:
            own.found.append(Trace(folder, "prepared clips", there=True))
        elif not index:
            own.unclear.append((folder, "prepared clips, not finished"))
    for folder, index in _indexed(cache / "avatars"):
        if composed(str(index.get("name", ""))) == name:
            own.found.append(Trace(folder, "pictures of the face", there=True))
        elif not index:
            own.unclear.append((folder, "pictures of a face, not finished"))


def _indexed(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folders in ``place``, here and at the URL that it may stand for, each with its index; {} if it has none."""
    there = set(names_there(place))
    keys = {folder.name for folder in _folders(place)} | {name.partition("/")[0] for name in there if "/" in name}
    for key in sorted(keys):
        index = _json(place / key / "index.json")
        if not index and f"{key}/index.json" in there:
            index = json.loads(text_there(place / key / "index.json"))
        yield place / key, index


def _others(cache: Path, name: str, own: Traces) -> None:
    for folder in _folders(cache / "tracks"):
        done = folder / "done"
        lines = done.read_text(encoding="utf-8").splitlines() if done.is_file() else []
        if lines and composed(lines[0]) == name:
            own.found.append(Trace(folder, "track of a clip"))
        elif len(lines) < 2:
            own.unclear.append((folder, "track of a clip"))
    if (folder := cache / "evaluation").is_dir():
        own.unclear.append((folder, "tracks of videos that `vast eval` compared"))


def _copies(cache: Path, own: Traces) -> None:
    """Copies on this machine of the footage by URL; other copies may be of anybody."""
    copies = []
    for footage in own.footage:
        copy = located(footage)
        if url_of(copy) is not None and copy.exists() and not cache.is_relative_to(copy):
            own.found.append(Trace(copy, f"copy of the footage at {footage}", locked=False))
            copies.append(copy)
    root = mirror_root()
    known = [*copies, root / ".states"] + ([cache] if url_of(cache) else [])
    others = (file for file in root.rglob("*") if file.is_file())
    if any(not any(file.is_relative_to(place) for place in known) for file in others):
        own.unclear.append((root, "copies of what recipes named by URL"))


def _run(run: Path, cache: Path, name: str, own: Traces) -> None:
    speakers = _speakers(run, cache)
    if speakers is None:
        own.unclear.append((run, "run that does not say whose footage it has"))
    elif name in speakers:
        own.found.append(Trace(run, "run: weights, avatar, videos, report"))
        recipe = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8")) if (run / RECIPE).is_file() else {}
        own.footage += [path for path in _paths(recipe.get("corpus")) if path not in own.footage]


def _paths(corpus: Any) -> Iterator[str]:
    """The footage that a corpus names; of a union without an own path, that of its corpora."""
    if isinstance(corpus, Mapping) and corpus.get("path"):
        yield str(corpus["path"])
    elif isinstance(corpus, (Mapping, list)):
        for part in corpus.values() if isinstance(corpus, Mapping) else corpus:
            yield from _paths(part)


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
