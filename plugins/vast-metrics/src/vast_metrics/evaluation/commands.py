"""``vast eval``: any system's videos, or a run, measured by one protocol."""

from __future__ import annotations

from pathlib import Path

import click

from vast_core.cli import Session

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("eval", short_help="Measure videos, or a run, by a protocol.")
@click.argument("run", type=_FOLDER, required=False)
@click.option("--generated", type=_FOLDER, help="Folder of a system's videos.")
@click.option("--reference", type=_FOLDER, help="Folder of the real videos, of the same names.")
@click.option("--prompts", type=_FOLDER, help="Folder of the clips whose style was asked for, of the same names.")
@click.option("--corpus", help="Of a run: measure its style model on the videos of this folder, or on this corpus.")
@click.option(
    "--split", type=click.Choice(["held_out", "train"]), help="Of a run: which clips.  [held_out; of --corpus, all]"
)
@click.option("--tracked", is_flag=True, help="Of a run: write its videos, and measure those as any system's.")
@click.option("--protocol", "protocol_name", default="v1", show_default=True, help="A packaged protocol, or a file.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the results.")
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
    protocol_name: str,
    out: Path | None,
) -> None:
    """Measure the finished run RUN, or any system's videos against real ones.

    Videos are paired by name; frame rate, size, crops, masks and alignment are brought to one form by the protocol,
    whose digest is printed with each number. What cannot be paired or read is left out, and listed with its reason.
    A run's own geometry stands against what was prepared, unless --tracked asks for its videos.

    \b
    Example:
      vast eval --generated system/ --reference real/ --out eval/system
      vast eval runs/vast_default
      vast eval runs/vast_default --tracked
    """
    videos = (generated is not None, reference is not None)
    if (run is None) != all(videos) or (run is not None and any(videos)):
        raise click.UsageError("give either a run, or both --generated and --reference")
    of_a_run = {"--corpus": corpus, "--split": split, "--tracked": tracked}
    if run is None and (wrong := [option for option, value in of_a_run.items() if value]):
        raise click.UsageError(f"{wrong[0]} goes with a run")
    if corpus is not None and tracked:
        raise click.UsageError("--tracked goes with a run's own clips: of other people it has no avatar to draw")
    if run is not None and prompts is not None:
        raise click.UsageError("--prompts goes with --generated and --reference; a run has its own")

    from .protocol import Protocol

    session.tell_troubles()
    protocol = Protocol.load(protocol_name, session.registry)

    from .evaluator import Evaluator  # after the checks, as it imports torch

    work = Evaluator(protocol=protocol, registry=session.registry)
    if generated is not None and reference is not None:
        work.videos(generated, reference, prompts, out or Path("eval", generated.resolve().name))
    elif run is not None and corpus is not None:
        work.other_footage(run, corpus, split, out or run / f"eval-{Path(corpus).resolve().name}")
    elif run is not None and tracked:
        work.run_tracked(run, split or "held_out", out or run / "eval-tracked")
    elif run is not None:
        work.run(run, split or "held_out", out or run / "eval")
