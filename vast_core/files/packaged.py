"""Files that come with a package and are known by name, beside a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError


def named_file(name_or_path: str, packaged: Mapping[str, Path], option: str) -> Path:
    """The file of a name in ``packaged``, else of a path.

    Raises :class:`InputError` where there is neither; ``option`` is the one that the user gave.
    """
    if name_or_path in packaged:
        return packaged[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    known = ", ".join(packaged)
    raise InputError(f"{option} {name_or_path}: no such file, and no packaged one of that name (packaged: {known})")
