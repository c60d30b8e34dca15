"""``vast synth``: make a video of a run's avatar that speaks new audio in the style of prompts."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import Session
from .numbers import SEED, threads_option
from .prompts import factor_option, strength_option, style_of


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--audio", "sound", type=click.Path(path_type=Path), required=True, help="Sound file, or video with sound."
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    help="Prompt clip, saved style, or name of a style of the avatar; PROMPT or PROMPT:WEIGHT; can be repeated. "
    "`label:NAME` is for style encoders that read labels, `sample` draws a style from the prior.",
)
@strength_option
@factor_option
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Random seed of `--style sample` and of stochastic decoders.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("out.mp4"),
    show_default=True,
    help="Video to write.",
)
@click.option("--force", is_flag=True, help="Overwrite the file that --out names.")
@threads_option
@click.pass_obj
def synth(
    session: Session,
    run: Path,
    sound: Path,
    styles: tuple[str, ...],
    style_strength: float,
    factors: tuple[str, ...],
    seed: int,
    out: Path,
    force: bool,
    threads: int | None,
) -> None:
    """Make a talking video with the avatar of the finished run RUN.

    RUN is the run's folder, or a file that `vast pack` wrote. Besides it, only the sound and the prompts are read.
    A prompt without a dot is the name of a style that `vast style save` saved; a file `happy` is written ./happy.

    \b
    Example:
      vast synth runs/vast_default --audio hello.wav --style happy.mp4 --out out.mp4
      vast synth runs/mine --audio hello.wav --style a.mp4:0.7 --style b.mp4:0.3 --style-strength 1.2
      vast synth mine.vast --audio hello.wav --style happy --style-factor brow=-0.5 --out happy.mp4
      vast synth mine.vast --audio hello.wav --style sample --seed 3 --force
    """
    from ..api import load
    from ..console import Terminal, progress
    from ..device import use_threads

    console = Terminal()
    console.print(use_threads(threads))
    avatar = load(run, registry=session.registry)
    style = style_of(avatar, styles, style_strength, factors, seed, console)
    with progress(console) as bar:
        task = bar.add_task("speaking")
        avatar.write(
            out,
            sound,
            style,
            force=force,
            seed=seed,
            progress=lambda n, of: bar.update(task, completed=n, total=of),
        )
    console.print(f"{avatar.name} speaks: {out}")
