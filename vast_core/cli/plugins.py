"""``vast plugins``: installed components and plugins with their state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..cli import Commands, Session

if TYPE_CHECKING:
    from rich.console import Console

    from ..registry.registry import Registry

Row = tuple[str, ...]

_STYLES = {"loaded": "green", "ready": "", "broken": "bold red", "disabled": "dim"}


@click.group(cls=Commands, group="plugins", invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List what is installed and in what state.

    Shows every component, stage and section that a recipe can name, with its package, and every plugin with its state
    and the milliseconds that its import took. VAST_PLUGINS=a,b loads only those plugins or packages;
    VAST_STRICT_PLUGINS=1 stops at the first broken plugin.

    \b
    Example:
      vast plugins
      vast plugins show flow/householder
      VAST_PLUGINS=vast-avatar vast plugins
    """
    if context.invoked_subcommand is not None:
        return
    from ..console import plain_console

    console, session = plain_console(), context.ensure_object(Session)
    _ = session.added  # calls the plugins' vast_commands, which shows whether they work
    registry = session.registry
    _print(console, ("kind", "name", "package", "state", "what it is"), _declared(registry))
    console.print()
    _print(console, ("plugin", "package", "state", "ms", "remark"), _plugins(registry))
    console.print()
    if troubled := [p for p in registry.plugins if p.state in ("broken", "foreign", "shadowed")]:
        what = "1 plugin is" if len(troubled) == 1 else f"{len(troubled)} plugins are"
        console.print(f"{what} left out; `vast plugins doctor` shows the reason and the remedy.")
    console.print("`vast plugins show flow/householder` shows the options of a component.")


def _declared(registry: Registry) -> list[Row]:
    rows: list[Row] = []
    for c in registry.components():
        name = c.name if c.name in registry.names(c.kind) else f"{c.distribution}/{c.name}"
        rows.append((c.kind, name, c.provider, "ready" if name == c.name else "write in full", c.summary))
    others = (*registry.stages, *registry.sections)
    titles = Counter(one.title for one in others)
    for one in others:
        state = "ready" if titles[one.title] == 1 else "declared twice"
        rows.append((one.sort, one.name, one.provider or "vast itself", state, one.summary))
    return rows


def _plugins(registry: Registry) -> list[Row]:
    return [
        (p.name, p.provider, p.state, f"{1000 * p.seconds:.0f}", p.cause or "imports torch" * p.imports_torch)
        for p in registry.plugins
    ]


def _print(console: Console, head: Row, rows: Sequence[Row]) -> None:
    """Print rows with aligned cells. On a terminal the last cell is cut, or moves to its own line if space is short."""
    from rich.text import Text

    def line(text: Text) -> None:
        console.print(text, no_wrap=True, crop=False, overflow="ellipsis" if console.is_terminal else "ignore")

    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    below = console.width - sum(widths) - 2 * len(widths) < 40
    column = head.index("state")
    start = sum(widths[:column]) + 2 * column
    line(Text(_aligned(head, widths) + ("" if below else head[-1]), "bold"))
    for row in rows:
        text = Text(_aligned(row, widths) + ("" if below else row[-1]))
        text.stylize(_STYLES.get(row[column], "yellow"), start, start + len(row[column]))
        line(text)
        if below and row[-1]:
            line(Text(f"    {row[-1]}", "dim"))


def _aligned(row: Row, widths: Sequence[int]) -> str:
    cells = (f"{cell:>{w}}" if cell.isdecimal() else f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False))
    return "".join(f"{cell}  " for cell in cells)
