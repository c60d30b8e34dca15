"""The rooms that the data walks through, in its order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch
from rich.console import Console

from ..pipeline import Pipeline
from ..registry import Kind
from ..run import Run, cache_root, component_key, digest, source_digest
from ..store import Store
from ..training import best_device
from . import evaluate, prepare, renderer, style, synthesize


@attrs.frozen
class Stage:
    """One room."""

    name: str
    inputs: Callable[[Context], dict[str, Any]]
    """What its result depends on, as far as another stage's key does not say it."""
    run: Callable[[Context], list[Path]]
    """Does the work; gives the files that must be there for it to count as done."""


@attrs.define(eq=False, slots=False)
class Context:
    """What a stage works with."""

    run: Run
    pipeline: Pipeline
    console: Console
    resume: bool = False
    _keys: dict[str, str] = attrs.field(init=False, factory=dict)

    @cached_property
    def device(self) -> torch.device:
        """Where to compute."""
        return best_device()

    @cached_property
    def store(self) -> Store:
        """The prepared clips, shared by all runs whose preparation is the same."""
        return Store(cache_root() / "prepared" / self.key("prepare"))

    def key(self, stage: str) -> str:
        """Digest of all that ``stage`` depends on."""
        if stage not in self._keys:
            own = next(s for s in STAGES if s.name == stage)
            self._keys[stage] = digest([source_digest(own.run.__module__), own.inputs(self)])
        return self._keys[stage]

    def component_inputs(self, *kinds: Kind) -> dict[str, Any]:
        """What identifies the components of these kinds: implementation and options."""
        recipe = self.run.recipe
        return {kind: {**component_key(recipe.part(kind).component), "options": recipe.section(kind)} for kind in kinds}


STAGES = (
    Stage("prepare", prepare.inputs, prepare.run),
    Stage("style", style.inputs, style.run),
    Stage("renderer", renderer.inputs, renderer.run),
    Stage("evaluate", evaluate.inputs, evaluate.run),
    Stage("synthesize", synthesize.inputs, synthesize.run),
)
