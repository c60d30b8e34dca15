"""Check that an output file may be written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError


def check_output(out: Path, *, inputs: Iterable[Path], force: bool) -> None:
    """Raise :class:`InputError` if ``out`` is a folder, is one of the ``inputs``, or lies in a folder among them.

    It is also raised if ``out`` exists and ``force`` is False. Files themselves are compared, not paths, so that links
    are recognised. A file that does not exist yet is always accepted.
    """
    if not out.exists():
        return
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file to write")
    for own in inputs:
        if own.is_dir():
            if any(place.samefile(own) for place in out.resolve().parents):
                raise InputError(f"{out}: lies in {own}, which is read; write to another place")
        elif own.exists() and own.samefile(out):
            raise InputError(f"{out}: is read as {own}, and would be overwritten; write to another file")
    if not force:
        raise InputError(f"{out}: exists; name another file, or overwrite it with --force (force=True)")
