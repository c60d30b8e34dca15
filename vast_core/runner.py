"""A recipe taken through its stages."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from .errors import ComponentError
from .pipeline import assemble
from .recipe.model import Recipe
from .registry.declarations import StageSpec
from .registry.registry import Registry
from .report.summary import write_run_report
from .runs.directory import Run
from .stages.context import StageContext


def run_recipe(
    recipe: Recipe, registry: Registry, out: Path, resume: bool = False, stages: Iterable[str] | None = None
) -> Run:
    """Take ``recipe`` through its stages, or those of them that are named, into the run directory ``out``."""
    console = Console()
    chosen = [(spec, spec.load()) for spec in recipe.chosen(stages)]
    run = Run(out, recipe, registry)
    pipeline = assemble(recipe, registry)
    run.start()
    context = StageContext(run=run, pipeline=pipeline, console=console, resume=resume)
    for spec, stage in chosen:
        key = context.key(spec.name)
        if not run.finished(spec.name, key):
            registry.notify("vast_stage_starting", run=run, stage=spec.name, key=key)
        if run.finished(spec.name, key):
            console.print(f"[dim]{spec.name}: nothing has changed, kept[/dim]")
        else:
            console.print(f"[bold]{spec.name}[/bold]")
            began = time.perf_counter()
            files = _written(spec, stage.run(context))
            run.finish(spec.name, key, time.perf_counter() - began, files)
        registry.notify("vast_stage_finished", run=run, stage=spec.name)
    store = context.store if recipe.runs("prepare") else None
    write_run_report(run, store if store is not None and store.complete else None)
    console.print(f"done: {out / 'report.html'}")
    return run


def _written(spec: StageSpec, files: object) -> list[Path]:
    """The files of a stage that has run; raises :class:`ComponentError` where it does not give them."""
    who = f"{spec.title} of {spec.provider or 'vast itself'}"
    if isinstance(files, str | Path) or not isinstance(files, Iterable):
        raise ComponentError(f"{who}: its run(context) gave {files!r}, not the list of files that it has written")
    found = [Path(file) for file in files]
    for file in found:
        if not file.exists():
            raise ComponentError(f"{who}: its run(context) names {file} as written, and there is no such file")
    return found
