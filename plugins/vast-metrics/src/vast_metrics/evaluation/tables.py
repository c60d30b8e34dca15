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

from ..field.standing import standing
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
    columns = ["value", "95 % interval", *(["re-encoded"] if evaluation.reencoded else []), "clips"]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("best")
    for name, found in evaluation.overall.items():
        own = evaluation.measures[name]
        value = f"{readable(found.value)} {own.unit}".rstrip()
        moved = [moved_of(found)] if evaluation.reencoded else []
        table.add_row(name, value, interval_of(found), *moved, str(found.clips), ARROWS[own.better])
    reasons = [
        # the first line says what is missing; the others, in eval.json and on the page, how to get it
        Text(f"{metric}: not computed, because {why.splitlines()[0]}", "yellow")
        for metric, why in evaluation.not_computed.items()
    ]
    warnings = [Text(f"Warning: {told}", "yellow")] if (told := warning(evaluation)) else []
    return Group(table, *reasons, *warnings, Text(reading(evaluation)), *_standing(evaluation))


def _standing(evaluation: Evaluation) -> Iterator[Table | Text]:
    """Where the system stands beside published ones."""
    if not (rows := standing_of(evaluation)):
        return
    table = Table(title=STANDING, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("system", "composite", "of"):
        table.add_column(column, justify="right" if column == "composite" else "left")
    for system, score, note in rows:
        table.add_row(system, f"{score:.3f}", note)
    yield table


STANDING = "Where it stands by THEval's composite (published figures: other videos)"


def standing_of(evaluation: Evaluation) -> list[tuple[str, float, str]]:
    """The system among published ones, the best first; empty if the composite is not computed."""
    found = evaluation.overall.get("theval")
    if found is None:
        return []
    names = [name for name in evaluation.overall if name.startswith("theval_") and name.endswith("_score")]
    return standing(evaluation.generated, found.value, len(names))


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


def moved_of(found: Overall) -> str:
    """``± 0.3``, how far a re-encoding moves it; empty if that was not measured."""
    return "" if found.moved is None else f"± {readable(found.moved)}"


def having(evaluation: Evaluation, measure: str) -> list[ClipResult]:
    """The clips that have a value."""
    return [clip for clip in evaluation.clips if measure in clip.values]


def reading(evaluation: Evaluation) -> str:
    """A note on how to read the numbers."""
    bounded = [measure for measure, found in evaluation.overall.items() if found.low is not None]
    drawn = {unit_of([clip.speaker for clip in having(evaluation, measure)]) for measure in bounded}
    speakers = len({clip.speaker for clip in evaluation.clips})
    if not bounded:
        return (
            f"Means over clips, without intervals: with fewer than {FEWEST} clips, intervals are not reliable."
            f"{coded(evaluation)}"
        )
    if drawn == {"clips"}:
        over = (
            f"over clips; with {speakers} speaker{'s' * (speakers > 1)} they apply to other clips, not other speakers"
        )
    elif drawn == {"speakers"}:
        over = f"over the {speakers} speakers, each with all clips"
    else:
        over = "over speakers, each with all clips, or over clips if fewer than six speakers have the measure"
    few = f", and none for fewer than {FEWEST}" * any(found.clips < FEWEST for found in evaluation.overall.values())
    what = "Means over clips, or a metric's value for all clips together"
    return f"{what}; 95 % bootstrap intervals {over}{few}.{coded(evaluation)}"


def coded(evaluation: Evaluation) -> str:
    """What the column "re-encoded" tells; empty if there is none."""
    if not evaluation.reencoded:
        return ""
    clips = f"{evaluation.reencoded} clip{'s' * (evaluation.reencoded > 1)}"
    return (
        f" Re-encoded: how far a figure moves if the generated videos are only encoded once more (H.264, crf "
        f"{evaluation.crf}), of {clips}; a smaller difference between systems means nothing."
    )


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
    whole = [
        "measure",
        "value",
        "low",
        "high",
        "moved",
        "clips",
        "unit",
        "better",
        "metric",
        "provider",
        "not_computed",
    ]
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
        numbers = [None] * 5 if found is None else [found.value, found.low, found.high, found.moved, found.clips]
        why = evaluation.not_computed.get(own.metric) if found is None else None
        known = [own.unit, own.better, own.metric, own.provider, why]
        yield [name, *numbers, *known, evaluation.protocol, evaluation.digest]


def _by_clip(evaluation: Evaluation) -> Iterator[list[object]]:
    for clip in evaluation.clips:
        for name, value in clip.values.items():
            unit = evaluation.measures[name].unit
            yield [clip.name, name, value, unit, evaluation.protocol, evaluation.digest]
