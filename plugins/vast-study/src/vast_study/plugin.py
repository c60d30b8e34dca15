"""The hooks of vast-study: its commands. Imports no server and no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vast_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast study``."""
    from .commands import study

    cli.add_command(study)
