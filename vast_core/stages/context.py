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
from ..errors import ComponentError
from ..pipeline import Pipeline
from ..recipe.model import Recipe
from ..registry.declarations import Kind
from ..runs.directory import Run, cache_root
from ..runs.keys import clip_key, stage_key, use_key
from ..runs.store import Store

Options = TypeVar("Options")


class Stage(Protocol):
    """What the target of a :class:`vast_core.StageSpec` is: a module, or any object, with these functions.

    It may have a third, ``report(run: Run) -> Iterable[vast_core.report.Section]``: its part of the run's report,
    asked for whenever the report is written, once the stage has finished.
    """

    def inputs(self, context: StageContext) -> Mapping[str, Any]:
        """What its result depends on, as plain data, beside its own options and its code.

        Of an earlier stage ``context.key(name)``, of components ``context.component_inputs(kind, ...)``, of clips that
        it reads itself ``context.clip_inputs()``, and the recipe's ``seed`` and ``fps`` where it uses them.
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
    _below: dict[str, list[str]] = attrs.field(init=False, factory=dict)
    """The stages whose keys each stage has asked for."""
    _asking: list[str] = attrs.field(init=False, factory=list)

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
        """Digest of all that a stage depends on: its code, its options and its inputs.

        Raises :class:`ComponentError` where the stage's inputs are no plain data.
        """
        if self._asking:
            self._below[self._asking[-1]].append(stage)
        if stage not in self._keys:
            # the recipe's own first: a plugin that fails at a hook is left out from then on, and its stage still runs
            own = next((spec for spec in self.recipe.run if spec.name == stage), None) or self.run.registry.stage(stage)
            options: Any = self.recipe.options(stage, own.config)
            self._asking.append(stage)
            self._below[stage] = []
            try:
                inputs = own.load().inputs(self)
            finally:
                self._asking.pop()
            try:
                self._keys[stage] = stage_key(own, options, inputs)
            except TypeError as error:
                who = f"{own.title} of {own.provider or 'vast itself'}"
                raise ComponentError(f"{who}: its inputs(context) are no plain data ({error})") from error
        return self._keys[stage]

    def builds_on(self, stage: str) -> list[str]:
        """The earlier stages whose keys are among the inputs of ``stage``."""
        self.key(stage)
        return self._below[stage]

    def component_inputs(self, *kinds: Kind) -> dict[str, Any]:
        """What identifies the components of these kinds: code, options, and the files that they read.

        The kind ``metric`` stands for all metrics of the recipe.
        """
        uses = {kind: self.recipe.metrics if kind == "metric" else (self.recipe.part(kind),) for kind in kinds}
        return {kind: [use_key(use) for use in own] for kind, own in uses.items()}

    def clip_inputs(self) -> list[dict[str, Any]]:
        """What may be read of the corpus' clips, in their order."""
        return [clip_key(clip) for clip in self.pipeline.corpus.clips()]
