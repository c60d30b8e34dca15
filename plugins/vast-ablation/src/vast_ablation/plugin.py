"""The command ``vast ablate``, declared without importing torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vast_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast ablate``."""
    from .commands import ablate

    cli.add_command(ablate)
