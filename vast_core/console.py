"""The one console for messages: it prints every name as it is, whatever characters it has."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.text import Text

__all__ = ["Terminal", "plain_console", "progress"]


class Terminal(Console):
    """A console without markup: square brackets, ``:smile:`` and numbers in names stay what they are.

    Styles are given as ``style="yellow"`` or as :class:`rich.text.Text`. Lines of text are not broken, so that a path
    can be copied; tables are.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "highlight": False, "emoji": False, **settings})

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print text and tables; see :meth:`rich.console.Console.print`."""
        if all(isinstance(own, str) for own in objects):
            settings.setdefault("soft_wrap", True)
        super().print(*objects, **settings)

    def status(self, status: RenderableType, **settings: Any) -> Status:
        """A line that says what goes on, while it does; text is shown as it is."""
        return super().status(Text(status) if isinstance(status, str) else status, **settings)

    def on_broken_pipe(self) -> None:
        """Raise what ends the program quietly: a closed pipe is not a failure."""
        raise BrokenPipeError


def plain_console() -> Terminal:
    """A console for tables; in a pipe it is 200 columns wide, so that no cell is cut."""
    return Terminal(width=None if sys.stdout.isatty() else 200)


def progress(console: Console, **settings: Any) -> Progress:
    """A bar whose descriptions are printed as they are."""
    return Progress(
        TextColumn("{task.description}", style="progress.description", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        **settings,
    )
