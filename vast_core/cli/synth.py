"""``vast synth``: make a video of a run's avatar that speaks new audio in the style of prompts."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--audio", "sound", type=click.Path(path_type=Path), required=True, help="Sound file, or video with sound."
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    required=True,
    help="Prompt clip, FILE or FILE:WEIGHT; can be repeated. `sample` draws a style from the prior.",
)
@click.option("--avatar", default=None, help="Expected speaker of the run's avatar; optional.")
@click.option(
    "--style-strength", default=1.0, show_default=True, help="Factor on the style: 0 is neutral, above 1 exaggerates."
)
@click.option("--seed", default=0, show_default=True, help="Random seed of `--style sample`.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("out.mp4"),
    show_default=True,
    help="Video to write.",
)
@click.pass_context
def synth(
    context: click.Context,
    run: Path,
    sound: Path,
    styles: tuple[str, ...],
    avatar: str | None,
    style_strength: float,
    seed: int,
    out: Path,
) -> None:
    """Make a talking video with the avatar of the finished run RUN.

    \b
    Example:
      vast synth runs/vast_default --audio hello.wav --style happy.mp4 --out out.mp4
      vast synth runs/mine --audio hello.wav --style a.mp4:0.7 --style b.mp4:0.3 --style-strength 1.2
    """
    from itertools import islice

    from rich.console import Console
    from rich.progress import track

    from ..errors import InputError
    from ..interfaces import SAMPLE_RATE
    from ..media.reading import read_wave
    from ..pipeline import assemble
    from ..recipe.loading import load_recipe
    from ..runs.directory import Run
    from ..speak.avatar import BaseClip
    from ..speak.perform import frames_of, perform, write_video
    from ..speak.prompt import Prompt, style_code
    from ..speak.trained import load_face, load_renderer, load_style
    from ..stages.avatar_pictures import find_clip
    from ..stages.context import StageContext

    registry = context.obj.registry
    if not (run / "recipe.yaml").is_file():
        raise InputError(
            f"{run}: not the folder of a run: there is no recipe.yaml; give a folder that `vast run` wrote"
        )
    recipe = load_recipe(run / "recipe.yaml", registry)
    pipeline, console = assemble(recipe, registry), Console()
    work = StageContext(run=Run(run, recipe, registry), pipeline=pipeline, console=console)
    base = BaseClip.load(run / "weights" / "avatar.safetensors")
    if avatar not in (None, base.avatar):
        raise InputError(
            f"--avatar {avatar}: this run trained {base.avatar}; set stages.renderer.avatar to train another speaker"
        )
    weights, pipeline = work.run.weights, pipeline.to(work.device)
    load_face(weights, pipeline)
    model, renderer = load_style(weights, pipeline), load_renderer(weights, pipeline)
    wave = read_wave(sound)
    prompts = [Prompt.parse(text) for text in styles]
    with console.status("reading the prompts"):
        code = style_code(
            prompts, pipeline, model, strength=style_strength, seed=seed, device=work.device, console=console
        )
    footage = islice(find_clip(pipeline.corpus, base.source).footage.frames(), base.start, base.start + len(base))
    frames = perform(pipeline, model, renderer, base, footage, wave, code)
    total = frames_of(wave, recipe.fps)
    write_video(track(frames, "speaking", total=total, console=console), recipe.fps, wave, out)
    console.print(f"{base.avatar} speaks for {len(wave) / SAMPLE_RATE:.2f} s: {out}")
