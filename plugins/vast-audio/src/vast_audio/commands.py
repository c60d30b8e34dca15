"""``vast ppg``: show phone posteriors, and evaluate them on speech whose phones are known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from vast_core.cli.numbers import SEED, FiniteRange

_SECONDS = 10.0
"""Seconds shown by default."""
_MOST_SECONDS = 120.0
"""Most seconds shown: a longer picture would be too large to open."""


@click.group()
def ppg() -> None:
    """Show and evaluate which phones are recognised.

    \b
    Example:
      vast ppg show talk.mp4 --start 12 --seconds 5 --out talk.png
      vast ppg eval speech --only held-out --json figures.json
    """


@ppg.command()
@click.argument("audio", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG here instead of printing a table."
)
@click.option("--transcript", help="What is said in the part that is shown; its phones are aligned and drawn.")
@click.option("--audio", "name", default="ppg", show_default=True, help="Audio component whose columns are phones.")
@click.option("--weights", type=click.Path(path_type=Path), help="Other weights for that component.")
@click.option(
    "--look-ahead", type=FiniteRange(min=0, min_open=True), help="Seconds of later sound that a row may hear."
)
@click.option("--start", type=FiniteRange(min=0), default=0.0, show_default=True, help="Seconds into the file.")
@click.option(
    "--seconds",
    type=FiniteRange(min=0.1, max=_MOST_SECONDS),
    help=f"Seconds to show, at most {_MOST_SECONDS:g}; {_SECONDS:g} by default.",
)
@click.pass_context
def show(
    context: click.Context,
    audio: Path,
    out: Path | None,
    transcript: str | None,
    name: str,
    weights: Path | None,
    look_ahead: float | None,
    start: float,
    seconds: float | None,
) -> None:
    """Show the phones in the sound or video file AUDIO.

    Prints a table of the most probable phones; with --out draws the sound and the probability of each phone over time,
    grouped by phones that look alike on the lips. Of a long file only the requested part is read into memory.

    \b
    Example:
      vast ppg show talk.mp4
      vast ppg show hello.wav --transcript "Hello, Bob." --out hello.png
    """
    from vast_core.console import plain_console
    from vast_core.files import check_output

    from .alignment import align
    from .recognition import recogniser
    from .tables import agreement, closures, phone_table

    if out is not None:
        check_output(out, inputs=_given(audio, weights), force=True)

    recognised = recogniser(context.obj.registry, name, weights, look_ahead)
    asked = _SECONDS if seconds is None else seconds
    window = recognised.window(audio, start, asked)
    said = align(window.wave, transcript) if transcript is not None else ()
    console = plain_console()
    end = window.start + window.seconds
    title = f"{audio.name}, {window.start:.2f} to {end:.2f} s, audio/{name}"
    if out is not None:
        from .pictures import draw_window

        draw_window(out, window, title, said)
    else:
        console.print(title, style="bold")
        console.print(phone_table(window, said))
    if said:
        figures = agreement(window, said)
        if figures.phone_speech is not None and figures.viseme_speech is not None:
            console.print(
                f"{figures.phone_speech:.0%} of the speech is recognised as the phone that is said, "
                f"{figures.viseme_speech:.0%} as one of the same viseme group"
            )
        for message in closures(window, said):
            console.print(message)
    if seconds is None and window.seconds > asked - 0.02:
        console.print(f"shows the first {asked:g} s from {start:g} s; choose others with --start and --seconds")
    if out is not None:
        console.print(f"wrote {out}")


@ppg.command("eval")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--json", "figures", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this file."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a PNG of the confusion matrices here."
)
@click.option("--audio", "name", default="ppg", show_default=True, help="Audio component whose columns are phones.")
@click.option("--weights", type=click.Path(path_type=Path), help="Other weights for that component.")
@click.option(
    "--look-ahead", type=FiniteRange(min=0, min_open=True), help="Seconds of later sound that a row may hear."
)
@click.option(
    "--only",
    type=click.Choice(["held-out", "all"]),
    default="all",
    show_default=True,
    help="held-out: only what training on that folder holds out.",
)
@click.option("--source", "sources", multiple=True, help="Sub-folder to judge; may be given several times.")
@click.option("--noise-db", type=FiniteRange(-20, 80), help="Add noise this many dB below the speech.")
@click.option(
    "--noise",
    "shape",
    type=click.Choice(["speech", "white"]),
    default="speech",
    show_default=True,
    help="Spectrum of the noise.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the noise.")
@click.pass_context
def evaluate_folder(
    context: click.Context,
    folder: Path,
    figures: Path | None,
    out: Path | None,
    name: str,
    weights: Path | None,
    look_ahead: float | None,
    only: Literal["held-out", "all"],
    sources: tuple[str, ...],
    noise_db: float | None,
    shape: Literal["speech", "white"],
    seed: int,
) -> None:
    """Evaluate phone posteriors on the speech in FOLDER.

    FOLDER has a MANIFEST.tsv with the columns file, speaker, seconds, transcript and phones; where phones are missing,
    the transcript is aligned. Every 20 ms the most probable phone is compared with the phone that is said.

    \b
    Example:
      vast ppg eval speech --only held-out --json figures.json --out confusions.png
      vast ppg eval speech --only held-out --noise-db 10
    """
    import json

    from rich.progress import track

    from vast_core.console import Terminal, plain_console
    from vast_core.errors import InputError
    from vast_core.files import check_output, write_text

    from .evaluation import Noise, chosen_clips, evaluate
    from .recognition import recogniser
    from .tables import confusion_table, figures_table

    for target in _given(figures, out):
        check_output(target, inputs=_given(folder, weights), force=True)

    recognised = recogniser(context.obj.registry, name, weights, look_ahead)
    clips = chosen_clips(context.obj.registry, folder, only, sources)
    noise = None if noise_db is None else Noise(decibels=noise_db, shape=shape, seed=seed)
    progress = Terminal(stderr=True)
    shown = track(clips, "listening", console=progress, transient=True, disable=not progress.is_terminal)
    evaluation = evaluate(recognised, shown, noise)
    if not evaluation.by_source:
        clip, reason = next(iter(evaluation.left_out.items()))
        raise InputError(f"{folder}: no recording could be evaluated; {clip}: {reason}")
    behind = f", {shape} noise at {noise_db:g} dB" if noise is not None else ""
    what = f"{folder.resolve().name}, {only.replace('-', ' ')}{behind}, audio/{name}"
    console = plain_console()
    console.print(f"{what}\nshares of steps of 20 ms; phones, visemes and P B M over steps with speech", style="bold")
    console.print(figures_table(evaluation))
    console.print("recognised (column) given said (row), in % of the row; the diagonal is the recall")
    console.print(confusion_table(evaluation.total))
    for clip, reason in evaluation.left_out.items():
        console.print(f"left out {clip}: {reason}")
    if figures is not None:
        conditions = {
            "audio": name,
            "look_ahead": look_ahead,
            "only": only,
            "noise_db": noise_db,
            "noise": shape if noise else None,
        }
        write_text(figures, json.dumps({**evaluation.as_json(), "conditions": conditions}, indent=1) + "\n")
        console.print(f"wrote {figures}")
    if out is not None:
        from .pictures import draw_confusion

        draw_confusion(out, evaluation.total, what)
        console.print(f"wrote {out}")


@ppg.command("leakage")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--json", "figures", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this file."
)
@click.option(
    "--audio",
    "names",
    multiple=True,
    default=("mel", "ppg"),
    show_default=True,
    help="Audio component to measure; may be given several times.",
)
@click.pass_context
def measure_leakage(context: click.Context, folder: Path, figures: Path | None, names: tuple[str, ...]) -> None:
    """Measure how well the speaker can be identified from audio features, on the speech in FOLDER.

    FOLDER has a MANIFEST.tsv with the columns file, speaker, seconds, transcript and, if known, phones. A linear probe
    is trained to identify the speaker on a third of each speaker's speech, tuned on a third and judged on the rest.
    Where two speakers say the same phones, the distance between their voices is given relative to the distance between
    different phones of one voice.

    \b
    Example:
      vast ppg leakage speech --json leakage.json
      vast ppg leakage speech --audio ppg --audio ppg_whisper
    """
    import json

    from vast_core.console import plain_console
    from vast_core.files import check_output, write_text

    from .leakage import leakage_table, measure

    if figures is not None:
        check_output(figures, inputs=[folder], force=True)

    leakage = measure(context.obj.registry, folder, names)
    console = plain_console()
    console.print(
        f"{folder.resolve().name}: {leakage.speakers} speakers; shares identified correctly by a linear probe",
        style="bold",
    )
    console.print(leakage_table(leakage))
    if leakage.left_out:
        console.print(f"left out, too little speech: {', '.join(leakage.left_out)}")
    if figures is not None:
        write_text(figures, json.dumps(leakage.as_json(), indent=1) + "\n")
        console.print(f"wrote {figures}")


def _given(*paths: Path | None) -> list[Path]:
    return [path for path in paths if path is not None]
