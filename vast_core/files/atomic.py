"""Files that appear whole or not at all, also if the process is killed or the power fails."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..errors import StorageError
from .names import temporary_name, writer_of

_OF_SAFETENSORS = re.compile(r"\.tmp[0-9A-Za-z]{6}")
"""What safetensors calls a file while it writes it."""


@contextmanager
def replacing(path: Path, earlier: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; publish it as ``path`` on success, remove it on failure.

    The file that was there before stays as ``earlier``, if that is given.

    Raises :class:`StorageError` if the disk is full, the folder cannot be written, or ``path`` is a device or a pipe.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise StorageError(f"{path}: is a device or a pipe, where no file can be put; name a file")
    temporary = path.with_name(temporary_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors ignores the umask and makes its files private
        if earlier is not None and path.is_file():
            force(temporary)  # before the earlier file gives up its name
            os.replace(path, earlier)
        publish(temporary, path)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise StorageError(
            f"{path}: cannot be written ({why}); free some space or choose another folder, "
            "then run the same command again"
        ) from error
    finally:
        with suppress(OSError):  # its folder may be missing; the error above says why
            temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Give a complete file its name. After a power failure there is the old file or the new one, never a part of it."""
    force(temporary)
    os.replace(temporary, path)
    force(path.parent)


def force(path: Path) -> None:
    """Return only when a file's content, or the names in a folder, are on the disk. Raises OSError if that fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that have no such request
            raise
    finally:
        os.close(descriptor)


def remove_left(folder: Path, *, alone: bool = False) -> None:
    """Remove the temporary files that killed processes have left in ``folder`` and below it.

    Those of this machine's processes that have ended are removed. If the caller has locked the folder (``alone``), so
    are those of other machines, of which it is not known whether their processes have ended, and those of safetensors,
    which do not tell their process, where none of this machine's processes writes. Files of a process that lives stay.
    """
    files = list(folder.rglob(".*"))
    writers = {file: writer for file in files if (writer := writer_of(file.name)) is not None}
    busy = {file.parent for file, writer in writers.items() if writer.here and writer.lives}
    for file in files:
        writer = writers.get(file)
        if writer is not None:
            left = not writer.lives or (alone and not writer.here)
        else:
            left = alone and _OF_SAFETENSORS.fullmatch(file.name) is not None and file.parent not in busy
        if left:
            with suppress(OSError):
                file.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write ``image`` (Y, X, 3), RGB, to ``path`` as PNG, whole or not at all."""
    _, content = cv2.imencode(".png", image[..., ::-1])
    with replacing(path) as temporary:
        temporary.write_bytes(content.tobytes())
