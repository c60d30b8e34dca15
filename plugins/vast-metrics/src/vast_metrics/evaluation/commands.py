"""``vast eval``: videos of any system, or a run, measured by one protocol."""

from __future__ import annotations

from pathlib import Path

import click

from vast_core.cli import Session

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("eval", short_help="Measure videos, or a run, by a protocol.")
@click.argument("run", type=_FOLDER, required=False)
@click.option("--generated", type=_FOLDER, help="Folder of the generated videos.")
@click.option("--reference", type=_FOLDER, help="Folder of the real videos, with the same names.")
@click.option("--prompts", type=_FOLDER, help="Folder of the style prompts, with the same names.")
@click.option("--corpus", help="For a run: measure its style model on the videos in this folder, or on this corpus.")
@click.option(
    "--split", type=click.Choice(["held_out", "train"]), help="For a run: which clips.  [held_out; with --corpus: all]"
)
@click.option("--tracked", is_flag=True, help="For a run: write its videos, and measure them like those of any system.")
@click.option(
    "--style-of-people",
    "people",
    type=_FOLDER,
    help="For a run: how far its avatar follows the emotions of the people in this folder of labelled prompts.",
)
@click.option(
    "--sound",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --style-of-people: what is said.",
)
@click.option(
    "--protocol", "protocol_name", default="v2", show_default=True, help="Name of a packaged protocol, or a file."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Output folder.")
@click.pass_obj
def evaluate(
    session: Session,
    run: Path | None,
    generated: Path | None,
    reference: Path | None,
    prompts: Path | None,
    corpus: str | None,
    split: str | None,
    tracked: bool,
    people: Path | None,
    sound: Path | None,
    protocol_name: str,
    out: Path | None,
) -> None:
    """Measure the finished run RUN, or videos of any system against real ones.

    Videos are paired by name. The protocol fixes frame rate, size, crops, masks and alignment, and its digest is
    printed with each number. Videos that cannot be paired or read are left out, and listed with the reason. For a run,
    its own vertices are compared with the prepared ones, unless --tracked measures its videos.

    \b
    Example:
      vast eval --generated system/ --reference real/ --out eval/system
      vast eval runs/vast_default
      vast eval runs/vast_default --tracked
      vast eval runs/vast_default --style-of-people prompts/
    """
    videos = (generated is not None, reference is not None)
    if (run is None) != all(videos) or (run is not None and any(videos)):
        raise click.UsageError("give either a run, or both --generated and --reference")
    of_a_run = {"--corpus": corpus, "--split": split, "--tracked": tracked, "--style-of-people": people}
    if run is None and (wrong := [option for option, value in of_a_run.items() if value]):
        raise click.UsageError(f"{wrong[0]} requires a run")
    if corpus is not None and tracked:
        raise click.UsageError("--tracked requires a run's own clips: there is no avatar to draw other people")
    if people is not None and (wrong := [option for option, value in list(of_a_run.items())[:3] if value]):
        raise click.UsageError(f"--style-of-people measures labelled prompts, so {wrong[0]} does not apply")
    if sound is not None and people is None:
        raise click.UsageError("--sound requires --style-of-people")
    if run is not None and prompts is not None:
        raise click.UsageError("--prompts requires --generated and --reference; a run has its own prompts")

    from .protocol import Protocol

    session.tell_troubles()
    protocol = Protocol.load(protocol_name, session.registry)

    from .evaluator import Evaluator  # imported after the checks, because it imports torch

    work = Evaluator(protocol=protocol, registry=session.registry)
    if run is not None and people is not None:
        work.style_of_people(run, people, sound, out or run / "eval-style-of-people")
    elif generated is not None and reference is not None:
        work.videos(generated, reference, prompts, out or Path("eval", generated.resolve().name))
    elif run is not None and corpus is not None:
        work.other_footage(run, corpus, split, out or run / f"eval-{Path(corpus).resolve().name}")
    elif run is not None and tracked:
        work.run_tracked(run, split or "held_out", out or run / "eval-tracked")
    elif run is not None:
        work.run(run, split or "held_out", out or run / "eval")
