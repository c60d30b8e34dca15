"""``vast style save``: save a style of an avatar under a name."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import Session
from .numbers import SEED
from .prompts import factor_option, strength_option, style_of


@click.command()
@click.argument("prompts", metavar="[PROMPT]...", nargs=-1)
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of the avatar's finished run.")
@click.option("--name", required=True, help="Name of the style: lower-case letters, digits, - and _.")
@strength_option
@factor_option
@click.option("--seed", type=SEED, default=0, show_default=True, help="Random seed of the prompt `sample`.")
@click.option("--force", is_flag=True, help="Overwrite a style of this name.")
@click.pass_obj
def save(
    session: Session,
    prompts: tuple[str, ...],
    run: Path,
    name: str,
    style_strength: float,
    factors: tuple[str, ...],
    seed: int,
    force: bool,
) -> None:
    """Save the style of PROMPT in a run under a name.

    PROMPT is what `--style` of `vast synth` takes; several are mixed. The style is written to `styles/NAME.safetensors`
    in the run's folder, and `vast pack` takes it along. It belongs to the run's style weights: after a new training of
    these, save it again.

    \b
    Example:
      vast style save happy.mp4 --run runs/mine --name happy
      vast style save a.mp4:0.7 b.mp4:0.3 --run runs/mine --name mixed --style-strength 1.2
      vast style save --style-factor smile=+1 --style-factor brow=-0.5 --run runs/mine --name sly
      vast style save sample --seed 3 --run runs/mine --name lively
    """
    from ..api import load
    from ..console import Terminal

    console = Terminal()
    avatar = load(run, registry=session.registry)
    style = style_of(avatar, prompts, style_strength, factors, seed, console)
    path = avatar.save_style(style, name, force=force)
    console.print(f"style {name}: {path}")
