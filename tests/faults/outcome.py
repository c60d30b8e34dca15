"""What a run has left: everything that must not depend on how often it was interrupted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import av

TIMES = {"seconds", "wall_seconds", "peak_memory_bytes", "finished", "frames_per_second", "milliseconds_per_frame"}
"""Entries of results that tell how long something took."""

PASSING = {"tensorboard"}
"""Folders with one file for each start, as their reader wants it."""


def outcome(run: Path, cache: Path) -> dict[str, Any]:
    """Every file of run and cache with its digest, or with its content without times."""
    return {
        f"{folder.name}/{file.relative_to(folder)}": _content(file)
        for folder in (run, cache)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not PASSING & set(file.relative_to(folder).parts)
    }


def differences(found: dict[str, Any], expected: dict[str, Any], run: str = "run", cache: str = "cache") -> list[str]:
    """In words: files that are missing, that should not be there, or that differ."""
    named = {
        name.replace("run/", f"{run}/", 1) if name.startswith("run/") else name.replace("cache/", f"{cache}/", 1): value
        for name, value in expected.items()
    }
    told = [f"{name} is missing" for name in sorted(named.keys() - found.keys())]
    told += [f"{name} is stray" for name in sorted(found.keys() - named.keys())]
    return told + [f"{name} differs" for name in sorted(named.keys() & found.keys()) if named[name] != found[name]]


def half_written(*folders: Path) -> list[str]:
    """Temporary files that are left."""
    return [str(file) for folder in folders for file in folder.rglob(".*.part*")]


def _content(file: Path) -> Any:
    if file.name == "metrics.jsonl":
        return [_without_times(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    if file.name in (".lock", "report.html", "environment.json"):  # who held it; times of the stages; the machine
        return ""
    if file.suffix == ".json":
        return _without_times(json.loads(file.read_text(encoding="utf-8")))
    return hashlib.sha256(packets_of(file) if file.suffix == ".mp4" else file.read_bytes()).hexdigest()


def packets_of(video: Path) -> bytes:
    """The coded pictures and sound, without marks of the file: a signature is another one each time."""
    with av.open(str(video)) as container:
        return b"".join(bytes(packet) for packet in container.demux() if packet.size)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(item) for name, item in value.items() if name not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value
