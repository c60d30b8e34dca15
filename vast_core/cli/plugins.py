"""``vast plugins``: what is installed, and what is broken."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from . import Session
from .lazy import LazyGroup, Places

if TYPE_CHECKING:
    from rich.table import Table

    from ..registry import Registry


_KNOWN: Places = {
    "check": ("vast_core.cli.plugins_check:check", "Hold a package's components to the rules of their kinds."),
    "new": ("vast_core.cli.plugins_new:new", "Write a new plugin package that can be published."),
}
COMMANDS: Places = {name: known for name, known in _KNOWN.items() if find_spec(known[0].partition(":")[0])}
"""Commands of the group."""


@click.group(cls=LazyGroup, places=COMMANDS, invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List what is installed, and what is broken.

    Three tables: every component and every stage that a recipe can name, and every plugin with what became of it and
    the milliseconds that its import took. VAST_PLUGINS=a,b loads only those plugins or packages;
    VAST_STRICT_PLUGINS=1 stops at a broken one.

    \b
    Example:
      vast plugins
      VAST_PLUGINS=vast-avatar vast plugins
    """
    if context.invoked_subcommand is not None:
        return
    from .console import plain_console

    console, session = plain_console(), context.ensure_object(Session)
    _ = session.added  # calls the plugins' vast_commands, where they may turn out broken
    console.print(_components(session.registry))
    console.print(_stages(session.registry))
    console.print(_plugins(session.registry))


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _components(registry: Registry) -> Table:
    table = _table("Components", "kind", "name", "package", "state", "what it is")
    last = None
    for c in registry.components():
        name = c.name if c.name in registry.names(c.kind) else f"{c.distribution}/{c.name}"
        state = "ready" if name == c.name else "write the whole name"
        table.add_row("" if c.kind == last else c.kind, name, c.provider, state, c.summary)
        last = c.kind
    return table


def _stages(registry: Registry) -> Table:
    table = _table("Stages", "stage", "package", "state", "needs", "what it does")
    names = [stage.name for stage in registry.stages]
    for stage in registry.stages:
        state = "ready" if names.count(stage.name) == 1 else "declared twice"
        table.add_row(stage.name, stage.provider or "vast itself", state, ", ".join(stage.needs), stage.summary)
    return table


def _plugins(registry: Registry) -> Table:
    from rich.text import Text

    styles = {"loaded": "green", "broken": "bold red", "foreign": "yellow", "shadowed": "yellow", "disabled": "dim"}
    table = _table("Plugins", "plugin", "package", "state", "ms", "remark")
    table.columns[3].justify = "right"
    for p in registry.plugins:
        remark = p.cause or ("imports torch, which slows every start; its authors can avoid it" * p.imports_torch)
        table.add_row(p.name, p.provider, Text(p.state, styles[p.state]), f"{1000 * p.seconds:.0f}", remark)
    return table
