"""The rooms that the data walks through, in its order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import attrs
import torch
from rich.console import Console

from ..pipeline import Pipeline
from ..run import Run, cache_root, component_key, digest, source_digest
from ..store import Store
from ..training import best_device
from . import evaluate, prepare, renderer, style, synthesize


class _Module(Protocol):
    __name__: str
    inputs: Callable[[Any], Any]
    run: Callable[[Any], list[Path]]


@attrs.frozen
class Stage:
    """One room: what its result depends on, and the work."""

    name: str
    module: _Module

    def run(self, context: Context) -> list[Path]:
        """Do the work; give the files that must be there for it to count as done."""
        return self.module.run(context)


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
            module = next(s.module for s in STAGES if s.name == stage)
            self._keys[stage] = digest([source_digest(module.__name__), module.inputs(self)])
        return self._keys[stage]

    def component_inputs(self, *kinds: str) -> dict[str, Any]:
        """What identifies the components of these kinds: implementation and options."""
        recipe = self.run.recipe
        return {
            kind: {**component_key(recipe.part(kind).component), "options": recipe.section(kind)} for kind in kinds
        }


STAGES = (
    Stage("prepare", prepare),
    Stage("style", style),
    Stage("renderer", renderer),
    Stage("evaluate", evaluate),
    Stage("synthesize", synthesize),
)
