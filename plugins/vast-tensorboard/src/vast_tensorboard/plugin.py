"""The hooks that vast-tensorboard implements; TensorBoard and torch are imported at the first logged step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vast_core import hookimpl

if TYPE_CHECKING:
    from vast_core.runs import Run


@hookimpl
def vast_run_started(run: Run) -> None:
    """Close what an earlier run in the same directory, broken off in this process, has left open."""
    from . import log

    log.close(run.path)


@hookimpl
def vast_step_end(step: int, losses: Mapping[str, float], run: Run) -> None:
    """Log every loss under its own key."""
    from . import log

    log.write(run.path, step, losses)


@hookimpl
def vast_stage_finished(run: Run, stage: str) -> None:
    """Complete and close the log: nothing stays open once the last stage is done."""
    from . import log

    log.close(run.path)
