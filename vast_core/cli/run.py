"""``vast run``: run the stages of a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import Session


@click.command()
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.  [runs/NAME]")
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
@click.option("--stages", help="Run only these stages of the recipe, such as prepare,style.")
@click.pass_obj
def run(
    session: Session,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    stages: str | None,
) -> None:
    """Run the stages of a recipe.

    RECIPE is a file or the name of a packaged recipe; KEY=VALUE changes one of its entries. Stages whose inputs have
    not changed since the last run are kept.

    \b
    Example:
      vast run vast_default
      vast run vast_default flow.use=planar flow.steps=16 --out runs/planar
      vast run my_recipe.yaml --resume
      torchrun --nproc-per-node 2 -m vast_core run vast_gpu
    """
    from ..processes import joined

    with joined():
        _run(session, recipe, overrides, out, resume, stages)


def _run(
    session: Session, recipe: str, overrides: tuple[str, ...], out: Path | None, resume: bool, stages: str | None
) -> None:
    from ..recipe.loading import load_recipe

    session.tell_troubles()
    loaded = load_recipe(recipe, session.registry, overrides)
    if loaded.sections:
        listed = ", ".join(f"`{name}` ({session.registry.section(name).summary})" for name in loaded.sections)
        click.echo(f"`vast run` does not use these sections: {listed}")
    named = None if stages is None else [name.strip() for name in stages.split(",") if name.strip()]
    chosen = loaded.chosen(named)
    loaded.require(chosen)

    from ..runner import run_recipe  # after the checks, as it imports torch

    run_recipe(loaded, session.registry, out or Path("runs", loaded.name), resume, [stage.name for stage in chosen])
