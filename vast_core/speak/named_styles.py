"""Styles that an avatar knows by name: one file each in the folder ``styles`` of its run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import attrs

from ..errors import InputError
from .style import Style

STYLES, SUFFIX = "styles", ".safetensors"

RESERVED = ("sample",)
"""Prompts that are words; no style may have such a name."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""Lower case only, because some file systems do not distinguish case."""


def may_be_name(prompt: str) -> bool:
    """Whether a prompt is read as a name, not as a file: it has neither a dot nor the separators of a path."""
    return not re.search(r"[./\\:]", prompt)


def check_name(name: str) -> None:
    """Raise :class:`InputError` unless a style may have this name."""
    if name in RESERVED or not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a style: use 1 to 64 lower-case letters a-z, digits, - and _, beginning with a "
            f"letter or digit, and not the word {', '.join(RESERVED)}"
        )


def is_member(path: str) -> bool:
    """Whether a path in a run's folder, with /, is that of a named style."""
    name = path.removeprefix(f"{STYLES}/").removesuffix(SUFFIX)
    return path == f"{STYLES}/{name}{SUFFIX}" and _NAME.fullmatch(name) is not None


def style_files(run: Path) -> dict[str, Path]:
    """Files of the named styles in a run's folder, sorted by name."""
    found = sorted((run / STYLES).glob(f"*{SUFFIX}"))
    return {path.stem: path for path in found if is_member(f"{STYLES}/{path.name}")}


def style_path(run: Path, name: str) -> Path:
    """File of the style with this name in a run's folder. Raises :class:`InputError` if it may not have the name."""
    check_name(name)
    return run / STYLES / f"{name}{SUFFIX}"


def named_style(name: str, files: Mapping[str, Path]) -> Style:
    """The style of this name. Raises :class:`InputError` with the known names if there is none."""
    if name not in files:
        known = f"it has {', '.join(files)}" if files else "it has none"
        raise InputError(
            f"this avatar has no style {name!r}; {known} (`vast style save` adds one). If {name!r} is a file, write "
            f"./{name}"
        )
    return attrs.evolve(Style.load(files[name]), source=name)
