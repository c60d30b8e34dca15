"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..errors import StorageError
from .names import temporary_name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on failure.

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
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise StorageError(
            f"{path}: cannot be written ({why}); free some space or choose another folder, "
            "then run the same command again"
        ) from error
    finally:
        with suppress(OSError):  # its folder may be missing; the error above says why
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write ``image`` (Y, X, 3), RGB, to ``path`` as PNG, whole or not at all."""
    _, content = cv2.imencode(".png", image[..., ::-1])
    with replacing(path) as temporary:
        temporary.write_bytes(content.tobytes())
