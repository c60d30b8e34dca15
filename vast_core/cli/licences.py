"""``vast licences``: the licences of everything that an avatar is made of."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import Session


@click.command()
@click.argument("run", metavar="RUN|RECIPE", type=click.Path(path_type=Path))
@click.pass_obj
def licences(session: Session, run: Path) -> None:
    """Show the licences of everything that a run uses, and whether they allow commercial use.

    RUN is the folder of a run, or a recipe. Shown are corpus, code and weights of every component, and the weights that
    training started from. This is no legal advice: it repeats what the packages state.

    \b
    Example:
      vast licences runs/vast_default
      vast licences vast_footage
    """
    from rich import box
    from rich.table import Table

    from ..console import plain_console
    from ..recipe.loading import load_recipe
    from ..runs.licences import chain, started, verdict

    recipe = load_recipe(run / "recipe.yaml" if run.is_dir() else run, session.registry)
    links = [*chain(recipe), *started(recipe, session.registry)]
    console = plain_console()
    table = Table("part", "package", "code", "weights or data", box=box.SIMPLE_HEAD, pad_edge=False)
    for link in links:
        table.add_row(link.part, link.package, link.code, link.weights or "none")
    console.print(table)
    possible, why = verdict(links)
    word = {True: "possible", False: "not possible", None: "cannot be told"}[possible]
    console.print(f"Commercial use: {word}; {why}.", soft_wrap=True)
