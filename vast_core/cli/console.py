"""Tables on the terminal, whole in a pipe."""

from __future__ import annotations

import sys

from rich.console import Console


class _Plain(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # nobody reads on, which is no failure: main() ends quietly


def plain_console() -> Console:
    """A console that takes all text literally; in a pipe it is wide, so that no cell is cut."""
    return _Plain(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200)
