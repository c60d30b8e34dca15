"""``study.yaml`` to :class:`Study`: read as recipes are, with all mistakes at once, each at file:line:col."""

from __future__ import annotations

from pathlib import Path

from .study import Study


def read_study(path: Path) -> Study:
    """The study of a file; raises :class:`vast_core.errors.RecipeError` with all its mistakes."""
    raise NotImplementedError
