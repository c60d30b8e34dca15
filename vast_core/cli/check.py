"""``vast check``: assemble a recipe without data."""

from __future__ import annotations

import click

from ..cli import Session


@click.command()
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.pass_obj
def check(session: Session, recipe: str, overrides: tuple[str, ...]) -> None:
    """Check and assemble a recipe without reading data.

    Reports every mistake in RECIPE, a file or the name of a packaged recipe, after the changes KEY=VALUE. If there is
    none, shows its stages, the shape at every joint, the parameters of every part and the estimated memory.

    \b
    Example:
      vast check recipes/vast_default.yaml
      vast check vast_default renderer.size=256
    """
    from ..recipe.loading import load_recipe

    session.tell_troubles()
    loaded = load_recipe(recipe, session.registry, overrides)
    loaded.require()

    from ..checking import check_recipe  # after the checks, as it imports torch

    check_recipe(loaded, session.registry)
