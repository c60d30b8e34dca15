"""``vast motion``: the motion of an avatar that speaks, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vast_core.cli.numbers import SEED, FiniteRange
from vast_core.cli.prompts import factor_option, strength_option, style_of

from .endings import ENDINGS, check_ending


@click.command(short_help="Write an avatar's motion for other programs.")
@click.argument("run", metavar="RUN|FILE.vast", type=click.Path(path_type=Path))
@click.option(
    "--audio", "sound", type=click.Path(path_type=Path), required=True, help="Sound file, or video with sound."
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    help="Prompt clip, saved style, or name of a style of the avatar, as for `vast synth`; can be repeated.",
)
@strength_option
@factor_option
@click.option("--seed", type=SEED, default=0, show_default=True, help="Random seed, as for `vast synth`.")
@click.option("--format", "form", type=click.Choice(tuple(ENDINGS)), required=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@click.option(
    "--fps",
    type=FiniteRange(min=1, max=1000),
    help="Frames per second. The default is the avatar's own; between its frames the motion is interpolated.",
)
@click.option(
    "--shapes",
    type=click.Choice(("own", "general")),
    default="own",
    show_default=True,
    help="Shapes that the curves weigh: the avatar's own, learned from its footage and this motion, or those that are "
    "the same for everybody.",
)
@click.option("--wav", is_flag=True, help="Write the sound, too, beside FILE as WAV.")
@click.option("--force", is_flag=True, help="Overwrite the files.")
@click.pass_obj
def motion(
    session: Any,
    run: Path,
    sound: Path,
    styles: tuple[str, ...],
    style_strength: float,
    factors: tuple[str, ...],
    seed: int,
    form: str,
    out: Path,
    fps: float | None,
    shapes: str,
    wav: bool,
    force: bool,
) -> None:
    """Write how the avatar of the finished run RUN moves while it speaks, for a program that draws it.

    It writes the 52 curves of ARKit and the head as CSV in the layout of Live Link Face (arkit-csv); head and jaw
    (bvh); the face with morph targets and animation (gltf, as .glb, and usda); or arrays of NumPy (npz). How much of
    the motion the curves explain is printed.

    \b
    Example:
      vast motion runs/vast_default --audio hello.wav --style happy.mp4 --format arkit-csv --out hello.csv --fps 60
      vast motion alma.vast --audio hello.wav --style-factor smile=+1 --format gltf --out hello.glb --wav
    """
    from vast_core.api import load
    from vast_core.console import Terminal
    from vast_core.files import check_output

    from .take import take_of
    from .writing import write_take

    check_ending(out, form)
    console = Terminal()
    with console.status("loading the avatar"):
        avatar = load(run, registry=session.registry)
    style = style_of(avatar, styles, style_strength, factors, seed, console)
    beside = out.with_suffix(".wav") if wav else None
    for file in (out, beside):
        if file is not None:
            check_output(file, inputs=(sound, *style.files, *avatar.files), force=force)
    with console.status("speaking"):
        moved = avatar.move(sound, style, seed=seed)
    with console.status("solving the curves"):
        take = take_of(moved, fps=fps, own=shapes == "own")
    write_take(take, out, form, beside)
    console.print(f"{avatar.name} moves through {len(take)} frames at {take.fps:g} a second: {out}")
    console.print(str(take.error))
