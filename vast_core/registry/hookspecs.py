"""The hooks that a plugin may implement. Each has a test and a heading in CONTRIBUTING.md.

Adding a hook, or an argument to one, is compatible; removing one is not, and would be ``vast.v2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from .declarations import Component, Kind, SectionSpec, StageSpec
from .marking import Marker, Origin

if TYPE_CHECKING:
    import click

PROJECT = "vast"

hookspec = pluggy.HookspecMarker(PROJECT)

hookimpl = pluggy.HookimplMarker(PROJECT)


class RecipeView(Protocol):
    """The part of :class:`vast_core.recipe.Recipe` on which a hook may rely."""

    @property
    def name(self) -> str: ...

    def use(self, kind: Kind) -> Any: ...


class PipelineView(Protocol):
    """The part of :class:`vast_core.pipeline.Pipeline` on which a hook may rely."""

    @property
    def parts(self) -> Mapping[Any, Any]: ...


class RunView(Protocol):
    """The part of :class:`vast_core.runs.Run` on which a hook may rely."""

    @property
    def path(self) -> Path: ...

    @property
    def recipe(self) -> Any: ...

    def record(self, stage: str) -> Mapping[str, Any] | None: ...

    def figures(self, stage: str) -> Mapping[str, Any]: ...


@hookspec
def vast_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Declare components. Called once, at discovery; must not import torch."""


@hookspec
def vast_stages() -> Iterable[StageSpec]:  # type: ignore[empty-body]
    """Declare stages that a recipe may run. Called once, at discovery; must not import torch."""


@hookspec
def vast_sections() -> Iterable[SectionSpec]:  # type: ignore[empty-body]
    """Declare sections of a recipe that the plugin reads. Called once, at discovery; must not import torch."""


@hookspec
def vast_commands(cli: click.Group) -> None:
    """Add commands to ``vast``. Called each time the program starts; import inside the command's function."""


@hookspec
def vast_marker(origin: Origin) -> Marker | None:
    """What marks the videos of an avatar as synthetic; called when the avatar is loaded. None marks nothing."""


@hookspec
def vast_inspect(file: Path) -> Iterable[tuple[str, str]]:  # type: ignore[empty-body]
    """What can be told of a video or picture file, for ``vast inspect``: pairs of a label and a sentence."""


@hookspec
def vast_pack_formats() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Formats of ``vast pack``, by name: each ``module:function``. Called when such a format is asked for."""


@hookspec
def vast_pipeline_built(pipeline: PipelineView, recipe: RecipeView) -> None:
    """The components of ``recipe`` have been assembled and nothing has run yet."""


@hookspec
def vast_run_started(run: RunView) -> None:
    """The run directory exists and ``run.recipe`` is resolved; no stage has run yet."""


@hookspec
def vast_stage_starting(run: RunView, stage: str, key: str) -> None:
    """A stage is about to run, because no result with its ``key`` was found; a plugin may provide the result now."""


@hookspec
def vast_stage_finished(run: RunView, stage: str) -> None:
    """A stage has written all its results (also when they were found in the cache)."""


@hookspec
def vast_step_end(step: int, losses: Mapping[str, float], run: RunView) -> None:
    """A logged training step has ended; ``losses`` has each term separately, keyed ``stage/objective/term``."""
