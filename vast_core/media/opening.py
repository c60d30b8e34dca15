"""Opening media files, and what can be said of a file that cannot be opened."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import av
from av.container import InputContainer

from ..errors import MediaError, StorageError, UnreachableError
from ..files.atomic import write_text
from ..places import cache_root
from .lengths import mended

KEPT_BYTES = 8 * 2**20
"""Size from which a file's digest is kept in the cache; smaller files are read faster than looked up."""

SETTLED_NS = 10 * 10**9
"""Nanoseconds for which a file must be unchanged: a change within one tick of the clock would be missed."""


def reach(path: Path) -> int:
    """The size of a file that can be read.

    Raises :class:`UnreachableError` if it cannot be read at all, :class:`MediaError` if it is a folder or a pipe.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{path}: is a folder; name a file in it")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{path}: is a pipe or a device, which can be read only once; save it to a file first")
        with path.open("rb") as file:
            file.read(1)
            return os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        raise unreachable(path, error) from error


def unreachable(path: Path, error: OSError | ValueError) -> UnreachableError:
    """The error of a file that the system does not give."""
    if isinstance(error, FileNotFoundError):
        return UnreachableError(f"{path}: there is no such file; check the path, and that its disk is there")
    if isinstance(error, PermissionError):
        return UnreachableError(f"{path}: may not be read; check its permissions")
    why = error.strerror if isinstance(error, OSError) else error
    return UnreachableError(f"{path}: cannot be read ({why}); is its disk there?")


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """An open media file. Raises :class:`MediaError` if it cannot be read."""
    if reach(path) == 0:
        raise MediaError(f"{path}: the file is empty; copy or download it again")
    try:
        # The prefix keeps a colon in a name from being read as a protocol, the list a playlist from the network.
        source = mended(path) or f"file:{path}"
        container = av.open(source, "r", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (OSError, av.FFmpegError) as error:
        reach(path)
        if is_pointer(path):
            raise MediaError(
                f"{path}: is a pointer of Git LFS, not the file itself; get it with `git lfs pull`"
            ) from error
        raise MediaError(
            f"{path}: is no video or sound file, or one whose end (and with it the index) is missing "
            f"({error.strerror}); copy or convert it again"
        ) from error
    with container:
        yield container


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git leaves in a checkout where Git LFS is not installed."""
    with path.open("rb") as file:
        return file.read(64).startswith(b"version https://git-lfs.github.com/spec/")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; read again only if its size or modification time has changed.

    The digest of a large file is kept in the cache folder (:func:`vast_core.places.cache_root`).

    Raises :class:`UnreachableError` if the file cannot be read.
    """
    try:
        status = path.stat()
        return _known_digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise unreachable(path, error) from error


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content, read in any case."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreachable(path, error) from error


@cache
def _known_digest(path: Path, size: int, modified: int) -> str:
    """The digest of a file in this state. That of a large file is kept in the cache: reading a corpus takes minutes."""
    if size < KEPT_BYTES or time.time_ns() - modified < SETTLED_NS:
        return content_digest(path)
    state = f"{os.path.realpath(path)}\0{size}\0{modified}".encode("utf-8", "surrogatepass")
    kept = cache_root() / "digests" / hashlib.sha256(state).hexdigest()
    with suppress(OSError):
        if re.fullmatch("[0-9a-f]{64}", known := kept.read_text(encoding="ascii")):
            return known
    digest = content_digest(path)
    with suppress(StorageError):  # a cache that cannot be written does no harm
        write_text(kept, digest)
    return digest
