"""The interface of a stage, and the context that stages work in."""

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
from ..files.remote import fetched
from ..interfaces import Consent
from ..pipeline import Pipeline
from ..places import cache_root
from ..recipe.model import Recipe
from ..registry.declarations import Kind
from ..runs.directory import Run
from ..runs.keys import clip_key, stage_key, use_key
from ..runs.store import Store

Options = TypeVar("Options")


class Stage(Protocol):
    """Interface of the target of a :class:`vast_core.StageSpec`: a module or any object with these functions.

    A third function is optional: ``report(run: Run) -> Iterable[vast_core.report.Section]``, its part of the run's
    report. It is called whenever the report is written, if the stage has finished.
    """

    def inputs(self, context: StageContext) -> Mapping[str, Any]:
        """What its result depends on besides its own options and its code, as plain data.

        These are ``context.key(name)`` of earlier stages, ``context.component_inputs(kind, ...)`` of components,
        ``context.clip_inputs()`` if it reads clips itself, and the recipe's ``seed`` and ``fps`` if it uses them.
        """
        ...

    def run(self, context: StageContext) -> Iterable[Path]:
        """Do the work; returns the files that must exist for the stage to count as finished."""
        ...


@attrs.define(eq=False, slots=False)
class StageContext:
    """The run, pipeline and settings that a stage works with."""

    run: Run
    pipeline: Pipeline
    console: Console
    resume: bool = False
    _keys: dict[str, str] = attrs.field(init=False, factory=dict)
    _below: dict[str, list[str]] = attrs.field(init=False, factory=dict)
    """Stages whose keys each stage has read, by name."""
    _asking: list[str] = attrs.field(init=False, factory=list)

    @property
    def recipe(self) -> Recipe:
        """The run's recipe."""
        return self.run.recipe

    @cached_property
    def device(self) -> torch.device:
        """Device to compute on."""
        return best_device()

    @cached_property
    def store(self) -> Store:
        """The prepared clips, shared by all runs with the same preparation."""
        store = Store(cache_root() / "prepared" / self.key("prepare"))
        if not store.complete:
            fetched(store.path, missing=True)
        return store

    @cached_property
    def consents(self) -> Mapping[str, Consent | None]:
        """What is on record of the people in the corpus; empty without a corpus."""
        return {} if self.recipe.corpus is None else self.pipeline.corpus.consents()

    @property
    def trains_audio(self) -> bool:
        """Whether the recipe's audio features are learned in the style stage."""
        return bool(self.recipe.part("audio").component.load().trainable)

    def say(self, text: str) -> None:
        """Print a line that is only worth knowing."""
        self.console.print(text, style="dim", markup=False)

    def options(self, stage: str, config: type[Options]) -> Options:
        """The options of a stage, an instance of ``config``; see :meth:`vast_core.recipe.Recipe.options`."""
        return self.recipe.options(stage, config)

    def key(self, stage: str) -> str:
        """Digest of everything that a stage depends on: its code, its options and its inputs.

        Raises :class:`ComponentError` if the stage's inputs are not plain data.
        """
        if self._asking:
            self._below[self._asking[-1]].append(stage)
        if stage not in self._keys:
            # first the recipe's own: after a failure in a hook, a plugin's stages are unregistered but still run
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
                raise ComponentError(f"{who}: its inputs(context) are not plain data ({error})") from error
        return self._keys[stage]

    def keys(self, stage: str) -> dict[str, str]:
        """The key of a stage and all others that are known by then, by name."""
        self.key(stage)
        return dict(self._keys)

    def know(self, keys: Mapping[str, str]) -> None:
        """Take over keys from the leading process, so that the others need not read the corpus."""
        self._keys.update(keys)

    def builds_on(self, stage: str) -> list[str]:
        """The earlier stages whose keys are among the inputs of ``stage``."""
        self.key(stage)
        return self._below[stage]

    def component_inputs(self, *kinds: Kind) -> dict[str, Any]:
        """Identity of the components of these kinds: code, options, and the files that they read.

        The kind ``metric`` stands for all metrics of the recipe.
        """
        uses = {kind: self.recipe.metrics if kind == "metric" else (self.recipe.part(kind),) for kind in kinds}
        return {kind: [use_key(use) for use in own] for kind, own in uses.items()}

    def clip_inputs(self) -> list[dict[str, Any]]:
        """Facts of the corpus's clips that a stage may read, in the order of the corpus."""
        return [clip_key(clip) for clip in self.pipeline.corpus.clips()]
