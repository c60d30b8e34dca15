"""Hooks of vast-tensorboard; TensorBoard and torch are imported at the first logged step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vast_core import hookimpl

if TYPE_CHECKING:
    from vast_core.runs import Run


@hookimpl
def vast_run_started(run: Run) -> None:
    """Close a log left open by an earlier, interrupted run in the same directory and process."""
    from . import log

    log.close(run.path)


@hookimpl
def vast_step_end(step: int, losses: Mapping[str, float], run: Run) -> None:
    """Log every loss under its own key."""
    from . import log

    log.write(run.path, step, losses)


@hookimpl
def vast_stage_finished(run: Run, stage: str) -> None:
    """Flush and close the log of the stage."""
    from . import log

    log.close(run.path)
