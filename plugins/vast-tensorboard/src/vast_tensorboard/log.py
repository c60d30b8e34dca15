"""One TensorBoard log per run directory, in its folder ``tensorboard``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vast_core.errors import StorageError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_open: dict[Path, SummaryWriter] = {}
"""The writers of running stages, by run directory."""


def write(run_directory: Path, step: int, losses: Mapping[str, float]) -> None:
    """Log ``losses`` at ``step`` and flush to disk, so that the curves survive if the run is killed.

    Raises :class:`StorageError` if the disk is full or the folder cannot be written.
    """
    folder = _folder(run_directory)
    with _explained(folder):
        if folder not in _open:
            from torch.utils.tensorboard import SummaryWriter  # takes seconds to import: deferred to the first loss

            _open[folder] = SummaryWriter(str(folder))
        for key, loss in losses.items():
            _open[folder].add_scalar(key, loss, step)
        _open[folder].flush()


def close(run_directory: Path) -> None:
    """Close the log of ``run_directory`` if it is open; the next :func:`write` starts a new file beside it.

    Raises the errors of :func:`write`.
    """
    folder = _folder(run_directory)
    with _explained(folder):
        writer = _open.pop(folder, None)
        if writer is not None:
            writer.close()


def _folder(run_directory: Path) -> Path:
    return run_directory.resolve() / "tensorboard"


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _open.pop(folder, None)  # its thread ended with the error; the next write starts a new file
        raise StorageError(
            f"{folder}: the TensorBoard log cannot be written ({error.strerror or error}); free some space or "
            "choose another folder, then run the same command with --resume"
        ) from error
