"""Whether a file may be written where the user says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError


def check_output(out: Path, *, inputs: Iterable[Path], force: bool) -> None:
    """Raise :class:`InputError` where ``out`` is one of the ``inputs``, lies in one that is a folder, or is a folder.

    So it is, too, where ``out`` exists and ``force`` is not given. Files are compared as such, so links and other
    spellings of a path are seen through; a file that does not exist yet overwrites nothing.
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
