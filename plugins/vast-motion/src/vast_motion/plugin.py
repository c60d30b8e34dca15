"""The hook of vast-motion: its command. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vast_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast motion``."""
    from .commands import motion

    cli.add_command(motion)
