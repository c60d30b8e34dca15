"""The hooks of vast-ablation: its command, its section of a recipe, and how its runs share stages. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vast_core import SectionSpec, hookimpl

from .section import Ablate

if TYPE_CHECKING:
    import click

    from vast_core.runs import Run


@hookimpl
def vast_sections() -> Iterable[SectionSpec]:
    """Declare ``ablate:``."""
    return [SectionSpec(name="ablate", config=Ablate, summary="what `vast ablate` varies, with which seeds and stages")]


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast ablate``."""
    from .commands import ablate

    cli.add_command(ablate)


@hookimpl
def vast_run_started(run: Run) -> None:
    """Make sure that a run of an ablation is the only one in its folder."""
    from .sharing import Siblings

    if (siblings := Siblings.of(run)) is not None:
        siblings.start()


@hookimpl
def vast_stage_starting(run: Run, stage: str, key: str) -> None:
    """Take a stage's results from another run of the same ablation, if one has them."""
    from .sharing import Siblings

    if (siblings := Siblings.of(run)) is not None:
        siblings.bring(stage, key)


@hookimpl
def vast_stage_finished(run: Run, stage: str) -> None:
    """Release a stage's results to the other runs of the same ablation."""
    from .sharing import Siblings

    if (siblings := Siblings.of(run)) is not None:
        siblings.finished(stage)
