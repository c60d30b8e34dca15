"""``vast ablate``: compare many variants of a recipe over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vast_core.cli import Session

if TYPE_CHECKING:
    from rich.console import Console

    from .engine import Work
    from .results import Ablation


@click.command(short_help="Compare variants of a recipe over several seeds.")
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option(
    "--vary",
    metavar="KEY=VALUE,VALUE,...",
    multiple=True,
    help="A factor and its values, each read as YAML; the first values form the base cell. Repeatable.",
)
@click.option("--seeds", help="Number of seeds, starting at the recipe's own, or a list such as 1,5,9.  [3]")
@click.option("--stages", help="Stages of each cell, such as prepare,style,evaluate.  [those that matter]")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of all runs.  [runs/NAME-ablation]"
)
@click.option("--jobs", type=click.IntRange(min=1), help="Number of parallel runs.  [1; with Ray, GPUs or nodes]")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Compute the runs on this machine or on a Ray cluster.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would run.")
@click.pass_obj
def ablate(
    session: Session,
    recipe: str,
    overrides: tuple[str, ...],
    vary: tuple[str, ...],
    seeds: str | None,
    stages: str | None,
    out: Path | None,
    jobs: int | None,
    engine: str,
    dry_run: bool,
) -> None:
    """Run a recipe in many variants with several seeds, and compare them.

    RECIPE is a file or the name of a packaged recipe; KEY=VALUE changes one of its entries in all variants. Every
    combination of the values is a cell, run once with each seed; a stage that is the same in several runs is executed
    once. The recipe may say what to vary in a section `ablate:`. After an interruption, the same command continues with
    what is missing; with an additional value, it runs only that. `--engine ray` uses the cluster at RAY_ADDRESS, whose
    nodes must see the same folders.

    \b
    Example:
      vast ablate vast_default --vary flow.use=none,planar,householder --vary flow.steps=4,16
      vast ablate ablations/flows --jobs 4 --out runs/flows
    """
    from vast_core.console import Terminal

    from .design import Design

    session.tell_troubles()
    changes = [*overrides]
    if seeds is not None:
        changes.append(f"ablate.seeds={f'[{seeds}]' if ',' in seeds else seeds}")
    if stages is not None:
        changes.append(f"ablate.stages=[{stages}]")
    design = Design.read(recipe, session.registry, changes, vary)

    from .engine import Work  # imported after the recipes were checked, because it imports torch
    from .plan import Plan

    console = Terminal()
    with console.status("assembling every cell"):
        plan = Plan.make(design, session.registry)
    folder = out or Path("runs", f"{design.recipe.name}-ablation")
    work = Work(plan=plan, folder=folder, registry=session.registry, console=console)
    announce(work)
    if dry_run:
        return
    carry_out(work, engine, jobs)
    ablation = work.keep()
    show(ablation, folder, console)
    if failed := [f"{title}: {error}" for title, error in ablation.failures]:
        from vast_core.errors import VastError

        count = f"{len(failed)} of {len(plan.runs)} runs failed"
        raise VastError("\n".join([f"{count}; repeat the command to retry them", *failed]))


def announce(work: Work) -> None:
    """Print what will run, before anything does."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from .design import written

    design, missing = work.plan.design, work.missing()
    total = len(work.plan.runs)
    work.console.print(
        Text(
            f"recipe {design.recipe.name}: {len(design.cells)} cells with {_seeds(design.seeds)}, {total} runs"
            f" into {work.folder}; {total - len(missing)} done, {len(missing)} to do"
        )
    )
    table = Table("cell", *design.vary, "runs done", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, cell in enumerate(design.cells):
        left = sum(run.cell is cell for run in missing)
        settings = [written(cell.settings[key]) if key in cell.settings else "-" for key in design.vary]
        place = f"{number + 1}" + " (base)" * (number == 0)
        table.add_row(*map(Text, (place, *settings, f"{len(design.seeds) - left} of {len(design.seeds)}")))
    work.console.print(table)
    for note in (*design.notes, *work.plan.notes):
        work.console.print(Text(f"  {note}"))
    if missing:
        counts = work.to_do()
        stages = ", ".join(f"{stage} {count} {'time' if count == 1 else 'times'}" for stage, count in counts.items())
        work.console.print(Text(f"to do: {stages or 'no stages, because other runs have all results'}"))


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"


def carry_out(work: Work, engine: str, jobs: int | None) -> None:
    """Run what is missing; raises :class:`vast_core.errors.InputError` if another process is already running it."""
    if not work.missing():
        return
    from vast_core.errors import InputError

    from .job import Engine
    from .local import Local
    from .sharing import alone

    with alone(work.folder / "locks" / "ablate") as free:
        if not free:
            raise InputError(f"another `vast ablate` is running in {work.folder}; wait for it, or choose another --out")
        chosen: Engine = Local(jobs or 1)
        if engine == "ray":
            from .ray_engine import OnRay

            chosen = OnRay.join(jobs)
        work.carry_out(chosen)


def show(ablation: Ablation, folder: Path, console: Console) -> None:
    """Print the comparison and write it beside ``ablation.json``."""
    from .comparison import compare_cells
    from .page import write_page
    from .tables import print_tables, write_csv

    tables = compare_cells(ablation)
    if tables:
        console.print(print_tables(ablation, tables))
    files = [*write_csv(folder, ablation, tables), write_page(folder, ablation, tables)]
    console.print("written: " + ", ".join(str(file) for file in files))
