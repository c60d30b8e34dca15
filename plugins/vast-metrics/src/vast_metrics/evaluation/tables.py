"""An evaluation in the terminal and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from vast_core.files import write_text
from vast_core.report import readable

from ..ignored_code import ignored_code
from .bootstrap import FEWEST, unit_of
from .results import ClipResult, Evaluation, Overall

WHOLE, LONG = "overall.csv", "eval.csv"

SHORT = 12
"""Characters of a digest that distinguish protocols at a glance; files have the whole digest."""


ARROWS = {"lower": "↓", "higher": "↑", "closer to 0": "→ 0", "neither": ""}
"""Direction of a measure, short enough for a terminal of 80 columns."""


def print_table(evaluation: Evaluation) -> Group:
    """Every measure with its interval, with the protocol's name and digest, and why some were not computed."""
    table = Table(
        title=heading(evaluation), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("measure", no_wrap=True)
    for column in ("value", "95 % interval", "clips"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("best")
    for name, found in evaluation.overall.items():
        own = evaluation.measures[name]
        value = f"{readable(found.value)} {own.unit}".rstrip()
        table.add_row(name, value, interval_of(found), str(found.clips), ARROWS[own.better])
    reasons = [
        # the first line says what is missing; the others, in eval.json and on the page, how to get it
        Text(f"{metric}: not computed, because {why.splitlines()[0]}", "yellow")
        for metric, why in evaluation.not_computed.items()
    ]
    warnings = [Text(f"Warning: {told}", "yellow")] if (told := warning(evaluation)) else []
    return Group(table, *reasons, *warnings, Text(reading(evaluation)))


def heading(evaluation: Evaluation) -> str:
    """What was measured, its reference, and the protocol."""
    return f"{evaluation.generated} against {evaluation.reference} · {protocol_of(evaluation)}"


def protocol_of(evaluation: Evaluation) -> str:
    """The protocol's name and the first characters of its digest."""
    return f"protocol {evaluation.protocol} {evaluation.digest[:SHORT]}"


def interval_of(found: Overall) -> str:
    """``1.03 to 44.7``; empty if there is none."""
    if found.low is None or found.high is None:
        return ""
    return f"{readable(found.low)} to {readable(found.high)}"


def having(evaluation: Evaluation, measure: str) -> list[ClipResult]:
    """The clips that have a value."""
    return [clip for clip in evaluation.clips if measure in clip.values]


def reading(evaluation: Evaluation) -> str:
    """A note on how to read the numbers."""
    bounded = [measure for measure, found in evaluation.overall.items() if found.low is not None]
    drawn = {unit_of([clip.speaker for clip in having(evaluation, measure)]) for measure in bounded}
    speakers = len({clip.speaker for clip in evaluation.clips})
    if not bounded:
        return f"Means over clips, without intervals: with fewer than {FEWEST} clips, intervals are not reliable."
    if drawn == {"clips"}:
        over = (
            f"over clips; with {speakers} speaker{'s' * (speakers > 1)} they apply to other clips, not other speakers"
        )
    elif drawn == {"speakers"}:
        over = f"over the {speakers} speakers, each with all clips"
    else:
        over = "over speakers, each with all clips, or over clips if fewer than six speakers have the measure"
    few = f", and none for fewer than {FEWEST}" * any(found.clips < FEWEST for found in evaluation.overall.values())
    return f"Means over clips, or a metric's value for all clips together; 95 % bootstrap intervals {over}{few}."


def warning(evaluation: Evaluation) -> str:
    """A warning if the style code may be ignored; empty otherwise, and if style retrieval is not measured."""
    found, chance = (evaluation.overall.get(name) for name in ("style_retrieval", "style_retrieval_chance"))
    if found is None or chance is None:
        return ""
    return ignored_code(found.value, found.low, chance.value)


def write_csv(folder: Path, evaluation: Evaluation) -> list[Path]:
    """``overall.csv``, a row per measure, and ``eval.csv``, a row per clip and measure; return their paths.

    A metric without a number has a row in ``overall.csv`` that says why.
    """
    signed = ["protocol", "digest"]
    whole = ["measure", "value", "low", "high", "clips", "unit", "better", "metric", "provider", "not_computed"]
    files: dict[str, list[Sequence[object]]] = {
        WHOLE: [[*whole, *signed], *_overall(evaluation)],
        LONG: [["clip", "measure", "value", "unit", *signed], *_by_clip(evaluation)],
    }
    for name, lines in files.items():
        write_text(folder / name, as_csv(lines))
    return [folder / name for name in files]


def as_csv(lines: Iterable[Sequence[object]]) -> str:
    """Rows of values as the text of a CSV file; None is an empty field."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def _overall(evaluation: Evaluation) -> Iterator[list[object]]:
    for name, own in evaluation.measures.items():
        found = evaluation.overall.get(name)
        numbers = [None] * 4 if found is None else [found.value, found.low, found.high, found.clips]
        why = evaluation.not_computed.get(own.metric) if found is None else None
        known = [own.unit, own.better, own.metric, own.provider, why]
        yield [name, *numbers, *known, evaluation.protocol, evaluation.digest]


def _by_clip(evaluation: Evaluation) -> Iterator[list[object]]:
    for clip in evaluation.clips:
        for name, value in clip.values.items():
            unit = evaluation.measures[name].unit
            yield [clip.name, name, value, unit, evaluation.protocol, evaluation.digest]
