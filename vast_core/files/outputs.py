"""Check that an output may be written: it must be none of the inputs, and must not contain them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ..errors import InputError


def check_output(out: Path, *, inputs: Iterable[Path], force: bool) -> None:
    """Raise :class:`InputError` if ``out`` is one of the ``inputs``, or lies in a folder among them.

    It is also raised if ``out`` is a folder, a device or a pipe, or exists and ``force`` is False. Files themselves are
    compared, not paths, so that links are recognised, also those in a folder. A file that does not exist yet is always
    accepted.
    """
    if not out.exists():
        return
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file to write")
    if not out.is_file():
        raise InputError(f"{out}: is a device or a pipe, where no file can be put; name a file to write")
    for own in inputs:
        if own.is_dir():
            if any(place.samefile(own) for place in out.resolve().parents):
                raise InputError(f"{out}: lies in {own}, which is read; write to another place")
            if same := next((file for file in _files(own) if _is_same(file, out)), None):
                raise InputError(f"{out}: is read as {same}, and would be overwritten; write to another file")
        elif own.exists() and own.samefile(out):
            raise InputError(f"{out}: is read as {own}, and would be overwritten; write to another file")
    if not force:
        raise InputError(f"{out}: exists; name another file, or overwrite it with --force (force=True)")


def check_replaced(out: Path, *, inputs: Iterable[Path]) -> None:
    """Raise :class:`InputError` if one of the ``inputs`` is the folder ``out``, which is replaced, or lies in it."""
    for own in inputs:
        if out.exists() and own.exists() and any(place.samefile(out) for place in (own, *own.resolve().parents)):
            raise InputError(f"{out}: is replaced by the results, but {own} is read; choose another --out")


def check_own_folder(out: Path, *, mark: str, ours: Collection[str], what: str) -> None:
    """Raise :class:`InputError` if the folder ``out`` has files, but not ``mark``, the file of every folder of ours.

    Files with the names ``ours`` do not count. ``what`` names what the folder is meant for.
    """
    if not out.is_dir() or (out / mark).is_file():
        return
    if other := next((file for file in _files(out) if file.relative_to(out).as_posix() not in ours), None):
        raise InputError(f"{out}: has files that are not from {what}, such as {other.name}; choose another --out")


def _files(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for place, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link in a circle
            below.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


def _is_same(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except OSError:  # a link that leads nowhere
        return False
