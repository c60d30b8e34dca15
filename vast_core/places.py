"""Folders of the user: of the cache, of weights, of keys, of logs; and ``~`` in paths. Imports nothing heavy.

A service or a container may have no home folder. Then these folders are in the system's temporary folder.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path, user_data_path, user_log_path

from .errors import InputError

__all__ = ["data_folder", "downloads", "expanded", "weights_folder"]

CACHE, WEIGHTS = "VAST_CACHE", "VAST_WEIGHTS"
"""Environment variables that name the folder of prepared features, and a folder of weights of other projects."""


def expanded(path: str | Path) -> Path:
    """The path with the home folder of the user in place of ``~``, or of another user in place of ``~name``.

    Raises :class:`InputError` if there is no such user or home folder; a file of that name is written ``./~name``.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        user = Path(path).parts[0]
        raise InputError(f"{path}: the home folder {user} is not known; write the path in full, or ./{user}") from error


ADDRESS = re.compile(r"([a-z][a-z0-9+-]+)://(.+)")
"""A URL: kind and the rest."""


def located(text: str | Path, folder: Path = Path()) -> Path:
    """The absolute path of what a user names: a path relative to ``folder``, or a URL's place on this machine.

    Raises :class:`InputError` as :func:`expanded`, and for a URL with ``..``.
    """
    address = ADDRESS.fullmatch(str(text))
    if address is None:
        return Path(os.path.abspath(folder / expanded(text)))
    if ".." in Path(address[2]).parts:
        raise InputError(f"{text}: has `..`; write the address in full")
    return mirror_root() / address[1] / address[2]


def mirror_root() -> Path:
    """Folder of copies of what URLs name."""
    named = os.environ.get(CACHE, "").strip()
    own = None if ADDRESS.fullmatch(named) else _named(CACHE)
    return (own or user_folder(user_cache_path)) / "remote"


def url_of(path: Path) -> str | None:
    """The URL whose place on this machine ``path`` is; None if it is an ordinary path."""
    root = mirror_root()
    if not path.is_relative_to(root):
        return None
    kind, *rest = path.relative_to(root).parts
    return f"{kind}://{'/'.join(rest)}" if rest else None


def cache_root() -> Path:
    """Folder of prepared features, shared by all runs: ``VAST_CACHE``, or the user's cache folder."""
    return _named(CACHE) or user_folder(user_cache_path)


def weights_folder() -> Path | None:
    """The folder that ``VAST_WEIGHTS`` names; None if it is not set."""
    return _named(WEIGHTS)


def downloads() -> Path:
    """Folder of downloaded weights: the user's cache folder."""
    return user_folder(user_cache_path)


def data_folder() -> Path:
    """Folder of what belongs to the user and is kept, such as keys."""
    return user_folder(user_data_path)


def log_folder() -> Path:
    """Folder of the logs of faults."""
    return user_folder(user_log_path)


def user_folder(kind: Callable[..., Path]) -> Path:
    """A folder of vast of one of platformdirs' kinds, or one in the temporary folder for a user without a home."""
    try:
        return Path(kind("vast", appauthor=False))
    except (RuntimeError, KeyError):
        return Path(tempfile.gettempdir(), f"vast-{os.getuid()}")


def _named(variable: str) -> Path | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        return located(text)
    except InputError as error:
        raise InputError(f"the environment variable {variable} is {error}") from error
