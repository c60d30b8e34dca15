"""The hooks of vast-export: a command, and a format of packed avatars. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vast_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast export``."""
    from .commands import export

    cli.add_command(export)


@hookimpl
def vast_pack_formats() -> Mapping[str, str]:
    """Add ``vast pack --format onnx``."""
    return {"onnx": "vast_export.packing:pack"}
