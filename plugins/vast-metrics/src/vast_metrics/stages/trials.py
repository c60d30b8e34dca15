"""Runs inside a run: the recipe again with another seed and a speaker held out, or its audio features alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs
import numpy as np

from vast_core.interfaces import AudioFeatures
from vast_core.pipeline import assemble
from vast_core.recipe import Recipe, Use
from vast_core.registry import PrepareStage, Registry
from vast_core.runner import run_recipe
from vast_core.stages import StageContext


def audio_uses(recipe: Recipe, registry: Registry, names: Sequence[str]) -> list[Use]:
    """The recipe's own audio component, then the named ones with default options.

    Raises :class:`vast_core.errors.ComponentError` for an unknown name.
    """
    own = recipe.part("audio")
    uses = {own.name: own}
    for name in names:
        if name not in uses:
            component = registry.get("audio", name)
            uses[name] = Use(component=component, config=component.config(), name=name)
    return list(uses.values())


def trial(
    context: StageContext, audio: Use, seed: int, stages: Sequence[str], name: str, held_out: Sequence[str]
) -> StageContext:
    """Take the run's recipe through ``stages`` in a folder below ``trials/`` of the run, unless this is already done.

    The speakers ``held_out`` are held out completely, and all others are trained on. ``name`` says who they are.
    """
    registry, recipe = context.run.registry, context.recipe
    prepare = attrs.evolve(recipe.options("prepare", PrepareStage), held_out=0.0, held_out_speakers=tuple(held_out))
    parts = [audio.name, name, f"seed {seed}"]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-.")
    run = tuple(registry.stage(stage) for stage in stages)
    options = {**recipe.stages, "prepare": prepare}
    own = attrs.evolve(recipe, name=name, audio=audio, seed=seed, renderer=None, run=run, stages=options)
    context.console.print(", ".join(parts), style="bold cyan")
    done = run_recipe(own, registry, context.run.path / "trials" / name, resume=context.resume)
    return StageContext(run=done, pipeline=assemble(own, registry), console=context.console)


def audio_alone(recipe: Recipe, registry: Registry, audio: Use) -> AudioFeatures:
    """These audio features at the recipe's frame rate."""
    alone = Recipe(name=recipe.name, seed=recipe.seed, fps=recipe.fps, audio=audio, run=())
    return assemble(alone, registry).audio


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1), which is 0 for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
