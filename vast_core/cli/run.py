"""``vast run``: a recipe through its stages."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from ..stage_config import STAGES, Stage
from . import Session


def _stages(_: click.Context, __: click.Parameter, value: str | None) -> tuple[Stage, ...] | None:
    """The stages named, in the order in which they run."""
    if value is None:
        return None
    asked = [name.strip() for name in value.split(",") if name.strip()]
    for name in asked:
        if name not in STAGES:
            close = difflib.get_close_matches(name, STAGES, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise click.BadParameter(f"no stage is called {name!r}{hint} (the stages: {', '.join(STAGES)})")
    if not asked:
        raise click.BadParameter(f"name one at least of {', '.join(STAGES)}")
    return tuple(stage for stage in STAGES if stage in asked)


@click.command()
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.  [runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
@click.option("--stages", callback=_stages, help="Only these, such as prepare,style.")
@click.pass_obj
def run(
    session: Session,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    stages: tuple[Stage, ...] | None,
) -> None:
    """Take a recipe through its stages.

    RECIPE is a file or the name of a packaged recipe; KEY=VALUE changes an entry of it.

    \b
    Example:
      vast run vast_default
      vast run vast_default flow.use=planar flow.steps=16 --out runs/planar
      vast run my_recipe.yaml --resume
    """
    from ..recipe import load_recipe

    loaded = load_recipe(recipe, session.registry, overrides)
    loaded.require(STAGES if stages is None else stages)

    from ..pipeline import run_recipe  # after the checks, as it imports torch

    run_recipe(loaded, session.registry, out or Path("runs", loaded.name), resume, stages)
