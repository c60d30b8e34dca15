"""The core of vast: the interfaces, the registry that finds their implementations, and the pipeline they form.

Importing this package does not import torch, so that a plugin's declarations stay light; :func:`load` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .registry.declarations import Component, SectionSpec, StageSpec
from .registry.hookspecs import hookimpl
from .version import __version__

if TYPE_CHECKING:
    from .api import Avatar

__all__ = ["Component", "SectionSpec", "StageSpec", "__version__", "hookimpl", "load"]


def load(run: str | Path, *, device: str | None = None, look_ahead: float | None = None) -> Avatar:
    """The avatar of a finished run's folder, or of a file that `vast pack` wrote: see :mod:`vast_core.api`.

    It computes on ``device``, such as ``cuda:1``, by default on a GPU if there is one. ``look_ahead``, in seconds,
    is how much later sound the audio features may hear, for live use; by default as in training. Raises
    :class:`vast_core.errors.InputError` if the path is neither, a file is missing or has changed, or a component is not
    installed.
    """
    from . import api

    return api.load(run, device=device, look_ahead=look_ahead)
