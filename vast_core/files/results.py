"""Results as JSON files that state their version. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import cattrs

from ..errors import InputError
from .atomic import write_text

T = TypeVar("T")


def read_results(path: Path, kind: type[T], version: int, command: str) -> T:
    """Read what :func:`write_results` wrote of the attrs class ``kind``, whose field ``version`` must be ``version``.

    Raises :class:`InputError` if there is no such file, or not one of this version; the message names ``command``,
    which writes it.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; name the folder of a `{command}`, which writes it")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        found = plain["version"]
        if found == version:
            return cattrs.structure(plain, kind)
    except (ValueError, KeyError, TypeError, AttributeError, cattrs.BaseValidationError) as error:
        raise InputError(f"{path}: not a valid file of `{command}` ({error}), which writes it again") from error
    raise InputError(f"{path}: is of version {found}, this vast reads version {version}")


def write_results(path: Path, results: Any) -> Path:
    """Write an attrs object as JSON; returns the path."""
    write_text(path, json.dumps(cattrs.unstructure(results), indent=1) + "\n")
    return path
