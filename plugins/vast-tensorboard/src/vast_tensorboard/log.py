"""One TensorBoard log a run directory, in its folder ``tensorboard``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vast_core.errors import StorageError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_open: dict[Path, SummaryWriter] = {}
"""The writers of stages that are running now, by run directory."""


def write(run_directory: Path, step: int, losses: Mapping[str, float]) -> None:
    """Log ``losses`` at ``step``, on disk when this returns, so that a run that is killed keeps its curves.

    Raises :class:`StorageError` where the disk is full or the folder cannot be written.
    """
    folder = _folder(run_directory)
    with _explained(folder):
        if folder not in _open:
            from torch.utils.tensorboard import SummaryWriter  # Seconds to import: not before there is a loss.

            _open[folder] = SummaryWriter(str(folder))
        for key, loss in losses.items():
            _open[folder].add_scalar(key, loss, step)
        _open[folder].flush()


def close(run_directory: Path) -> None:
    """Close the log of ``run_directory``, if one is open; the next :func:`write` starts a new file beside it.

    Raises :class:`StorageError` as :func:`write` does.
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
        _open.pop(folder, None)  # Its thread has died of the error; the next write starts afresh.
        raise StorageError(
            f"{folder}: the TensorBoard log cannot be written ({error.strerror or error}); free some space or "
            "choose another folder, then run the same command with --resume"
        ) from error
