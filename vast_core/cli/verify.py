"""``vast verify``: whether a run's files are as written, and its training can be repeated."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import Session


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.pass_obj
def verify(session: Session, run: Path) -> None:
    """Check the files of RUN, and repeat its first logged training steps.

    Weights and training states must have the content that was written. Each training stage is repeated up to its first
    logged step, whose losses must have the same bits. They cannot be compared if the training was on a GPU, or with
    another number of threads or processes. Nothing of RUN is changed.

    \b
    Example:
      vast verify runs/vast_default
    """
    from ..errors import InputError
    from ..verifying import verify as checks

    marks = {True: "ok", False: "WRONG", None: "unknown"}
    counted = dict.fromkeys(marks, 0)
    for check in checks(run, session.registry):
        counted[check.right] += 1
        click.echo(f"{marks[check.right]:7}  {check.what}: {check.found}")
    if counted[False]:
        raise InputError(
            f"{run}: {counted[False]} of {sum(counted.values())} checks failed; run it again, or copy it again"
        )
