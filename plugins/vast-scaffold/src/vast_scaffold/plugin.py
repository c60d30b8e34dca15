"""The hook of vast-scaffold."""

from __future__ import annotations

import click

from vast_core import hookimpl


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast plugins new``."""
    from .commands import new

    cli.add_command(click.Group("plugins", [new]))
