"""From cells to runs: assembles every recipe without data, chooses the stages, and finds finished results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import attrs
import torch
from rich.console import Console

from vast_core.checking import walk
from vast_core.errors import InputError, RecipeError, VastError
from vast_core.pipeline import Pipeline, assemble
from vast_core.recipe import Recipe
from vast_core.registry import Registry, fault_line
from vast_core.runs import Run
from vast_core.stages import StageContext

from .design import Cell, Design


@attrs.frozen(kw_only=True)
class PlannedRun:
    """One cell with one seed."""

    cell: Cell
    seed: int
    path: Path
    """Relative to the ablation's folder."""
    recipe: Recipe
    keys: Mapping[str, str]
    """The key of each stage, in execution order."""
    components: Mapping[str, str]

    def unfinished(self, folder: Path, registry: Registry) -> list[str]:
        """The stages that have not finished with these keys in the ablation's folder."""
        run = Run(folder / self.path, self.recipe, registry)
        return [stage for stage, key in self.keys.items() if not run.finished(stage, key)]


@attrs.frozen(kw_only=True)
class Plan:
    """All runs of an ablation, and notes on omitted stages."""

    design: Design
    runs: tuple[PlannedRun, ...]
    """Ordered by seed, so that a table of all cells is available early."""
    notes: tuple[str, ...]

    @classmethod
    def make(cls, design: Design, registry: Registry) -> Self:
        """Assemble every cell as by ``vast check`` and compute the keys of all stages; trains and writes nothing.

        The corpus is asked for its clips, because the keys depend on them. Raises :class:`InputError` with the problems
        of each cell, and :class:`RecipeError` if the recipe measures nothing.
        """
        wanted, notes = _wanted(design)
        pipelines: dict[str, Pipeline] = {}
        troubles = []
        for cell in design.cells:
            recipe = attrs.evolve(cell.recipe, run=cell.recipe.chosen(wanted))
            try:
                recipe.require()
                for stage in recipe.run:
                    stage.load()
                with torch.device("meta"):
                    pipelines[cell.name] = assemble(recipe, registry)
                    walk(pipelines[cell.name])
            except VastError as error:
                troubles.append(f"cell {cell.name}: {error}")
            except Exception as error:  # noqa: BLE001 - components may raise anything, and all cells must be reported
                troubles.append(f"cell {cell.name}: {error} ({type(error).__name__} at {fault_line(error)})")
        if troubles:
            raise InputError("nothing was run, because some cells cannot be assembled\n" + "\n".join(troubles))
        seed = design.seeds[0]
        if design.stages is None and "renderer" in wanted:
            why = _idle_renderer(
                [planned(cell, seed, pipelines[cell.name], registry).keys["renderer"] for cell in design.cells],
                pipelines[design.cells[0].name],
            )
            if why:
                notes.append(why)
                wanted = [stage for stage in wanted if stage != "renderer"]
                for pipeline in pipelines.values():
                    pipeline.recipe = attrs.evolve(pipeline.recipe, run=pipeline.recipe.chosen(wanted))
        runs = [planned(cell, seed, pipelines[cell.name], registry) for seed in design.seeds for cell in design.cells]
        return cls(design=design, runs=tuple(runs), notes=tuple(notes))


def planned(cell: Cell, seed: int, pipeline: Pipeline, registry: Registry) -> PlannedRun:
    """The run of a cell with a seed."""
    source = f"Cell {cell.name} of an ablation, seed {seed}\n{cell.recipe.source}"
    recipe = attrs.evolve(pipeline.recipe, seed=seed, source=source)
    path = Path("cells", cell.slug, f"seed{seed}")
    run = Run(path, recipe, registry)
    context = StageContext(run=run, pipeline=pipeline, console=Console(quiet=True))
    keys = {stage.name: context.key(stage.name) for stage in recipe.run}
    return PlannedRun(cell=cell, seed=seed, path=path, recipe=recipe, keys=keys, components=run.components())


def _wanted(design: Design) -> tuple[list[str], list[str]]:
    """The stages that every cell runs, and notes on those omitted."""
    known = [stage.name for stage in design.recipe.run]
    wanted = [stage.name for stage in design.recipe.chosen(design.stages)]
    notes = []
    if design.stages is None and "synthesize" in wanted:
        wanted.remove("synthesize")
        notes.append("stage synthesize is omitted: a sample video gives no figures")
    if set(wanted) <= {"prepare", "style", "renderer", "synthesize"}:
        raise RecipeError(
            f"recipe {design.recipe.name} would measure nothing: of its stages ({', '.join(known)}), "
            f"{', '.join(wanted)} would run, and none of these gives figures; `evaluate` does"
        )
    return wanted, notes


def _idle_renderer(keys: Sequence[str], pipeline: Pipeline) -> str:
    """Why the renderer need not be trained; empty if it must be."""
    why = ""
    if not any(metric.needs == "frames" for metric in pipeline.metrics):
        why = "no metric uses frames"
    elif len(set(keys)) == 1:
        why = "it is the same in every cell"
    return why and f"stage renderer is omitted: {why} (--stages prepare,style,renderer,evaluate includes it)"
