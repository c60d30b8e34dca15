"""The hooks of vast-live: its commands. Imports no server and no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vast_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast serve`` and ``vast latency``."""
    from .commands import latency, serve

    cli.add_command(serve)
    cli.add_command(latency)
