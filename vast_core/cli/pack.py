"""``vast pack``: the avatar of a finished run in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--format",
    "form",
    default="vast",
    show_default=True,
    help="vast, for this program; onnx, for vast-runtime, a program without torch; or one that a plugin adds.",
)
@click.option(
    "--look-ahead",
    metavar="SECONDS",
    type=click.FloatRange(0, 10, min_open=True),
    help="Of other formats than vast: how much later sound the audio features may hear, where sound is heard as it "
    "comes (0.12, say). By default as in training.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.pass_obj
def pack(session: Any, run: Path, file: Path, form: str, look_ahead: float | None, force: bool) -> None:
    """Write the avatar of the finished run RUN to FILE.

    FILE works on any machine that has vast and the avatar's plugins. It has the weights, the avatar's video and the
    necessary sections of the recipe, but nothing of the corpus. With --format onnx it works with vast-runtime instead.

    \b
    Example:
      vast pack runs/vast_default alma.vast
      vast synth alma.vast --audio hello.wav --style happy.mp4
    """
    from ..api import pack as write

    write(run, file, force=force, format=form, look_ahead=look_ahead, registry=session.registry)
    click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
