"""The hooks of vast-live: its commands, and what a studio is told of a run. Imports no server and no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vast_core import hookimpl

if TYPE_CHECKING:
    import click

    from .studio.watching import Watcher


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast serve`` and ``vast latency``."""
    from .commands import latency, serve

    cli.add_command(serve)
    cli.add_command(latency)


@hookimpl
def vast_pipeline_built(pipeline: Any) -> None:
    """Let a studio, if one has started this process, see what is trained."""
    if (watching := _watcher()) is not None:
        watching.built(pipeline)


@hookimpl
def vast_run_started() -> None:
    """End with the studio."""
    if (watching := _watcher()) is not None:
        watching.started()


@hookimpl
def vast_stage_starting(stage: str) -> None:
    """Tell the studio."""
    if (watching := _watcher()) is not None:
        watching.starting(stage)


@hookimpl
def vast_stage_finished(run: Any, stage: str) -> None:
    """Show the studio what the stage has made."""
    if (watching := _watcher()) is not None:
        watching.finished(run, stage)


@hookimpl
def vast_step_end(step: int, losses: Mapping[str, float], run: Any) -> None:
    """Tell the studio how far training is."""
    if (watching := _watcher()) is not None:
        watching.step(run, step, losses)


def _watcher() -> Watcher | None:
    """What a studio has put into this process; None if none has started it."""
    if "VAST_STUDIO" not in os.environ:
        return None
    from .studio.watching import watcher

    return watcher()
