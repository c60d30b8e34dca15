"""Files that come with a package and have a name, and files of the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError
from ..places import expanded
from .names import is_file


def named_file(name_or_path: str, packaged: Mapping[str, Path], option: str) -> Path:
    """The packaged file of this name, or else the file at this path.

    Raises :class:`InputError` if there is neither; ``option`` is the option that the user gave.
    """
    if name_or_path in packaged:
        return packaged[name_or_path]
    path = expanded(name_or_path)
    if is_file(path):
        return path
    known = ", ".join(packaged)
    raise InputError(f"{option} {name_or_path}: no such file, and no packaged file of that name (packaged: {known})")
