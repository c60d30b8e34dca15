"""``vast ablate``: a recipe in many variants and several seeds."""

from __future__ import annotations

import click


@click.command()
@click.argument("recipe")
def ablate(recipe: str) -> None:
    """Run a recipe in many variants and several seeds, and compare."""
    raise click.UsageError(f"cannot vary {recipe} yet")
