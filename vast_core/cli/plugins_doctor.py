"""``vast plugins doctor``: problems of the installed plugins, their causes and remedies."""

from __future__ import annotations

import click

from ..cli import Session


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """List problems of the installed plugins and their remedies.

    Reports plugins that are broken, made for another version of vast, hidden or installed twice; names that two plugins
    declare; components whose code cannot be found or whose defaults are invalid; and missing packages that a plugin
    requires. Slow imports, missing extras and similar findings are reported but do not count as wrong. No component is
    imported.

    The exit code is 1 if something is wrong, otherwise 0.

    \b
    Example:
      vast plugins doctor
      VAST_PLUGINS=vast-glow vast plugins doctor
    """
    import textwrap

    from ..console import plain_console
    from .findings import findings

    console, session = plain_console(), context.ensure_object(Session)
    _ = session.added  # calls the plugins' vast_commands, which shows whether they work
    claims = {name: [plugin for plugin, _ in claimed] for name, claimed in session.claims.items()}
    found = findings(session.registry, claims)
    width = min(console.width, 100)
    for wrong, heading in ((True, "Wrong"), (False, "Worth knowing")):
        chosen = [finding for finding in found if finding.wrong == wrong]
        if chosen:
            console.print(f"{heading} ({len(chosen)})", style="bold red" if wrong else "bold")
        for finding in chosen:
            console.print()
            for indent, text in (("  ", finding.title), ("    why: ", finding.cause), ("    do:  ", finding.remedy)):
                hanging = " " * len(indent)
                for line in textwrap.wrap(
                    text, width, initial_indent=indent, subsequent_indent=hanging, break_long_words=False
                ):
                    console.print(line, soft_wrap=True)
        if chosen:
            console.print()
    registry = session.registry
    sound = sum(plugin.state == "loaded" for plugin in registry.plugins)
    console.print(
        f"{sound} plugins are loaded, with {len(registry.components())} components and {len(registry.stages)} stages."
        + ("" if any(finding.wrong for finding in found) else " Nothing is wrong.")
    )
    if any(finding.wrong for finding in found):
        context.exit(1)
