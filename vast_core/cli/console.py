"""A console for tables, which are not cut in a pipe."""

from __future__ import annotations

import sys

from rich.console import Console

__all__ = ["plain_console"]


class _Plain(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # a closed pipe is not a failure: main() exits with 0


def plain_console() -> Console:
    """A console that prints text literally; in a pipe it is 200 columns wide, so that no cell is cut."""
    return _Plain(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200)
