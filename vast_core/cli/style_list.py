"""``vast style list``: the styles that an avatar knows by name, and the factors that it can be told."""

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
    """List the styles that an avatar knows by name, and the factors that it can be told.

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
    if factors := avatar.factors:
        click.echo("\nfactors for --style-factor: value at -1 and at +1, R2 of the styles' codes")
        for name, factor in factors.items():
            click.echo(f"{name:{max(map(len, factors))}}  {factor.low:6.2f} {factor.high:6.2f}  {factor.r2:5.2f}")
