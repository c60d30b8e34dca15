"""Run the stages of a recipe."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from . import processes
from .console import Terminal
from .errors import ComponentError, InputError
from .files.outputs import check_own_folder
from .pipeline import assemble
from .recipe.model import Recipe
from .registry.core_stages import TrainingStage
from .registry.declarations import StageSpec
from .registry.registry import Registry
from .report.summary import write_run_report
from .runs.directory import ENVIRONMENT, RECIPE, Run
from .runs.lock import NAME as LOCK
from .runs.lock import held
from .speak.consenting import require_consent, without_consent
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
    with held(out) if processes.leads() else nullcontext():
        processes.once(run.start)
        context = StageContext(run=run, pipeline=pipeline, console=Terminal(), resume=resume)
        processes.once(lambda: _ask_consent(context))
        _walk(context, chosen)
    return run


def _walk(context: StageContext, chosen: list[tuple[StageSpec, Any]]) -> None:
    """Run those of the stages that are out of date, and write the report.

    Of several processes all run the stages that train, and the leading one alone does everything else.
    """
    for spec, stage in chosen:
        context.know(processes.once(lambda spec=spec: context.keys(spec.name)))  # type: ignore[misc]
        if not processes.once(lambda spec=spec: _kept(context, spec)):  # type: ignore[misc]
            if issubclass(spec.config, TrainingStage):
                _require_cache(context)
                _perform(context, spec, stage)
            else:
                processes.once(lambda spec=spec, stage=stage: _perform(context, spec, stage))  # type: ignore[misc]
        if processes.leads():
            context.run.drop_checkpoints(spec.name)
            context.run.registry.notify("vast_stage_finished", run=context.run, stage=spec.name)
    processes.once(lambda: _report(context))


def _ask_consent(context: StageContext) -> None:
    """Refuse the run if the consent of anybody in the corpus has ended; say for whom none is on record."""
    consents = context.consents
    require_consent(consents)
    if missing := without_consent(consents):
        context.console.print(missing, style="yellow")


def _kept(context: StageContext, spec: StageSpec) -> bool:
    """Whether the result of a stage is there already; if not, whatever it reads is."""
    run, key = context.run, context.key(spec.name)
    if not run.finished(spec.name, key):
        run.registry.notify("vast_stage_starting", run=run, stage=spec.name, key=key)
    if run.finished(spec.name, key):
        context.console.print(f"{spec.name}: nothing has changed, kept", style="dim")
        return True
    _require_below(context, spec.name)
    context.console.print(spec.name, style="bold")
    return False


def _perform(context: StageContext, spec: StageSpec, stage: Any) -> None:
    began = time.perf_counter()
    files = _written(spec, stage.run(context))
    if processes.leads():
        context.run.finish(spec.name, context.key(spec.name), time.perf_counter() - began, files)


def _report(context: StageContext) -> None:
    store = context.store if context.recipe.runs("prepare") else None
    complete = store if store is not None and store.complete else None
    write_run_report(context.run, complete, without_consent(context.consents))
    context.console.print(f"done: {context.run.path / 'report.html'}")


def _require_cache(context: StageContext) -> None:
    """Raise :class:`InputError` if a process does not see the prepared clips that the leading one has written."""
    if not processes.leads() and context.recipe.runs("prepare") and not context.store.complete:
        raise InputError(
            f"{context.store.path}: process {processes.rank()} on {socket.gethostname()} does not see the prepared "
            "clips; the run's folder and VAST_CACHE must be on a file system that all machines share"
        )


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
