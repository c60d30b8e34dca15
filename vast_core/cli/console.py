"""Tables on the terminal, whole in a pipe."""

from __future__ import annotations

import sys

from rich.console import Console


def plain_console() -> Console:
    """A console that takes all text literally; in a pipe it is wide, so that no cell is cut."""
    return Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200)
