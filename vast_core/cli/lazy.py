"""A click group whose commands are imported only when they are called, so that lists and help are fast."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

Places = Mapping[str, tuple[str, str]]
"""``module:object`` and the help line of each command by name, so that listing commands imports none."""


class LazyGroup(click.Group):
    """A group of commands, each imported when it is called."""

    def __init__(self, *arguments: Any, places: Places, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.places = places

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.places)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.places:
            return None
        module, _, attribute = self.places[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        if self.places:
            with formatter.section("Commands"):
                formatter.write_dl([(name, summary) for name, (_, summary) in self.places.items()])
