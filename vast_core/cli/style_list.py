"""``vast style list``: what styles an avatar knows by name."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import Session


@click.command(name="list")
@click.option(
    "--run", type=click.Path(path_type=Path), required=True, help="Run's folder, or a file that `vast pack` wrote."
)
@click.pass_obj
def list_(session: Session, run: Path) -> None:
    """List the styles that an avatar knows by name, and what each was made of.

    \b
    Example:
      vast style list --run runs/mine
      vast style list --run mine.vast
    """
    from ..api import load

    avatar = load(run, registry=session.registry)
    styles = avatar.styles
    if not styles:
        click.echo(f"{run}: has no named styles; `vast style save` adds one")
    width = max(map(len, styles), default=0)
    for name, style in styles.items():
        stale = "" if avatar.fits(style) else " (of other style weights: save it again with --force)"
        click.echo(f"{name:{width}}  {style.source}{stale}")
