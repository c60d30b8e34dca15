"""Run the stages of a recipe."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .console import Terminal
from .errors import ComponentError, InputError
from .files.outputs import check_own_folder
from .pipeline import assemble
from .recipe.model import Recipe
from .registry.declarations import StageSpec
from .registry.registry import Registry
from .report.summary import write_run_report
from .runs.directory import ENVIRONMENT, RECIPE, Run
from .runs.lock import NAME as LOCK
from .runs.lock import held
from .stages.context import StageContext

__all__ = [
    "run_recipe",
]


def run_recipe(
    recipe: Recipe, registry: Registry, out: Path, resume: bool = False, stages: Iterable[str] | None = None
) -> Run:
    """Run all stages of ``recipe``, or only those named in ``stages``, into the run directory ``out``.

    Raises :class:`InputError` if another process works in ``out``, if it has files that are not from a run, or if a
    stage depends on one that is out of date.
    """
    chosen = [(spec, spec.load()) for spec in recipe.chosen(stages)]
    run = Run(out, recipe, registry)
    pipeline = assemble(recipe, registry)
    check_own_folder(out, mark=ENVIRONMENT, ours=(LOCK, RECIPE, "log.txt"), what="a run")
    with held(out):
        run.start()
        _walk(StageContext(run=run, pipeline=pipeline, console=Terminal(), resume=resume), chosen)
    return run


def _walk(context: StageContext, chosen: list[tuple[StageSpec, Any]]) -> None:
    """Run those of the stages that are out of date, and write the report."""
    run, console, notify = context.run, context.console, context.run.registry.notify
    for spec, stage in chosen:
        key = context.key(spec.name)
        if not run.finished(spec.name, key):
            notify("vast_stage_starting", run=run, stage=spec.name, key=key)
        if run.finished(spec.name, key):
            console.print(f"{spec.name}: nothing has changed, kept", style="dim")
        else:
            _require_below(context, spec.name)
            console.print(spec.name, style="bold")
            began = time.perf_counter()
            files = _written(spec, stage.run(context))
            run.finish(spec.name, key, time.perf_counter() - began, files)
        notify("vast_stage_finished", run=run, stage=spec.name)
    store = context.store if context.recipe.runs("prepare") else None
    write_run_report(run, store if store is not None and store.complete else None)
    console.print(f"done: {run.path / 'report.html'}")


def _require_below(context: StageContext, stage: str) -> None:
    """Raise :class:`InputError` if the results that ``stage`` reads are missing or come from another recipe or code."""
    run = context.run
    for below in context.builds_on(stage):
        # a stage may use the key of one that the recipe does not run: it then repeats that training itself
        if context.recipe.runs(below) and not run.finished(below, context.key(below)):
            raise InputError(
                f"stage {stage!r} depends on stage {below!r}, whose result in {run.path} is missing or out of date; "
                f"run both with --stages {below},{stage}, or omit --stages"
            )


def _written(spec: StageSpec, files: object) -> list[Path]:
    """The files of a stage that has run; raises :class:`ComponentError` if it returned no list of existing files."""
    who = f"{spec.title} of {spec.provider or 'vast itself'}"
    if isinstance(files, str | Path) or not isinstance(files, Iterable):
        raise ComponentError(f"{who}: its run(context) returned {files!r} instead of the list of files that it wrote")
    found = [Path(file) for file in files]
    for file in found:
        if not file.exists():
            raise ComponentError(f"{who}: its run(context) returned {file}, which does not exist")
    return found
