"""What a stage is, and what it works with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
import torch
from rich.console import Console

from ..device import best_device
from ..pipeline import Pipeline
from ..recipe.model import Recipe
from ..registry.declarations import Kind
from ..runs.directory import Run, cache_root
from ..runs.keys import component_key, digest, stage_source
from ..runs.store import Store

Options = TypeVar("Options")


class Stage(Protocol):
    """What the target of a :class:`vast_core.StageSpec` is: a module, or any object, with these functions.

    It may have a third, ``report(run: Run) -> Iterable[vast_core.report.Section]``: its part of the run's report,
    asked for whenever the report is written, once the stage has finished.
    """

    def inputs(self, context: StageContext) -> Mapping[str, Any]:
        """What its result depends on, JSON-able, beside its own options and its package's source.

        Of an earlier stage ``context.key(name)``, of components ``context.component_inputs(kind, ...)``.
        """
        ...

    def run(self, context: StageContext) -> Iterable[Path]:
        """Do the work; gives the files that must be there for it to count as done."""
        ...


@attrs.define(eq=False, slots=False)
class StageContext:
    """What a stage works with."""

    run: Run
    pipeline: Pipeline
    console: Console
    resume: bool = False
    _keys: dict[str, str] = attrs.field(init=False, factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The run's recipe."""
        return self.run.recipe

    @cached_property
    def device(self) -> torch.device:
        """Where to compute."""
        return best_device()

    @cached_property
    def store(self) -> Store:
        """The prepared clips, shared by all runs whose preparation is the same."""
        return Store(cache_root() / "prepared" / self.key("prepare"))

    def options(self, stage: str, config: type[Options]) -> Options:
        """The options of a stage, which are a ``config``: see :meth:`vast_core.recipe.Recipe.options`."""
        return self.recipe.options(stage, config)

    def key(self, stage: str) -> str:
        """Digest of all that a stage depends on: its options, its source and its inputs."""
        if stage not in self._keys:
            # the recipe's own first: a plugin that fails at a hook is left out from then on, and its stage still runs
            own = next((spec for spec in self.recipe.run if spec.name == stage), None) or self.run.registry.stage(stage)
            options = attrs.asdict(self.recipe.options(stage, own.config))
            self._keys[stage] = digest([stage_source(own), options, own.load().inputs(self)])
        return self._keys[stage]

    def component_inputs(self, *kinds: Kind) -> dict[str, Any]:
        """What identifies the components of these kinds: implementation and options."""
        return {
            kind: {**component_key(self.recipe.part(kind).component), "options": self.recipe.section(kind)}
            for kind in kinds
        }
