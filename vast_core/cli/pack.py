"""``vast pack``: the avatar of a finished run in one file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def pack(run: Path, file: Path, force: bool) -> None:
    """Write the avatar of the finished run RUN to FILE.

    FILE works on any machine that has vast and the avatar's plugins. It has the weights, the avatar's video and the
    necessary sections of the recipe, but nothing of the corpus.

    \b
    Example:
      vast pack runs/vast_default alma.vast
      vast synth alma.vast --audio hello.wav --style happy.mp4
    """
    from ..api import pack as write

    click.echo(f"{write(run, file, force=force)}: {file.stat().st_size / 1e6:.1f} MB")
