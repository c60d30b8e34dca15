"""Finding and reading weights files of other projects, in safetensors only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import WeightsError
from ..files.remote import fetched
from ..places import WEIGHTS as VARIABLE
from ..places import downloads, expanded, weights_folder


def find_file(names: Sequence[str], path: Path | None, what: str, how: str) -> Path:
    """The file ``path``, or the first of ``names`` in the folder ``path``, or else in ``VAST_WEIGHTS`` or the cache.

    Raises :class:`vast_core.errors.WeightsError` if there is none, with ``what`` is missing and ``how`` to get it.
    """
    if path is not None:
        path = fetched(expanded(path))
        places = [path / name for name in (*names, "model.safetensors")] if path.is_dir() else [path]
    else:
        places = [folder / name for folder in (weights_folder(), downloads()) if folder for name in names]
    for file in places:
        if fetched(file, missing=True).is_file():
            return file
    raise WeightsError(
        f"{what} is at none of these places:\n"
        + "".join(f"  {file}\n" for file in places)
        + f"{how}Or name the file in the option `weights`, or put it into a folder named by {VARIABLE}"
        + ("." if weights_folder() else " (which is not set).")
    )


def suggested_folder() -> Path:
    """The folder in which a file is found without any option."""
    return weights_folder() or downloads()


def read_tensors(file: Path, unwanted: tuple[str, ...] = ()) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors in float32, without those whose names begin with one of ``unwanted``, and the file's metadata.

    Raises :class:`vast_core.errors.WeightsError` if the file is not safetensors.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            names = [name for name in opened.keys() if not name.startswith(unwanted)]  # noqa: SIM118 (not a mapping)
            tensors = {name: opened.get_tensor(name).to(torch.float32) for name in names}
            return tensors, opened.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{file}: not a safetensors file, or damaged ({error}); get it again") from error
