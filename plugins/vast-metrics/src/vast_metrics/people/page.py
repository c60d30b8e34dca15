"""The figures in the terminal and in a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text as Line

from vast_core.report import Block, Cell, Rejected, Section, Table, Text, Verdict

from .acting import ROWS
from .pictures import strips

Figures = Mapping[str, Any]

FOLDER = "style_of_people"
"""Folder of the pictures."""

COLUMNS = {
    "lips": "lips r",
    "gain_lips": "lips gain",
    "upper": "upper face r",
    "gain_upper": "upper face gain",
    "retrieval": "retrieval",
    "amplitude": "amplitude r",
    "speed": "speed r",
}

SHORT = ("lips r", "gain", "upper r", "gain", "retrieval", "ampl. r", "speed r")
"""The same, short enough for a terminal of 80 columns."""


def _rows(figures: Figures) -> Iterator[tuple[str, Figures]]:
    """Label and figures: the avatar, what it is compared with, and each speaker."""
    yield ROWS["ours"], figures
    for row, own in figures["rows"].items():
        yield ROWS[row], own
    for seed, own in figures.get("seeds", {}).items():
        yield f"in the prompt's style, seed {seed}", own
    for name, own in figures["by_speaker"].items():
        yield f"in the prompt's style, {name} alone", own


def print_figures(console: Console, figures: Figures) -> None:
    """Two tables, and what was left out."""
    grid = Grid("", title="style of people", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("ours", "95 % interval", "zero code", "wrong prompt", "copy", "chance"):
        grid.add_column(column, justify="right")
    for name, title in COLUMNS.items():
        bounds = figures["intervals"].get(name)
        interval = "-" if bounds is None else f"{_shown(bounds[0])} to {_shown(bounds[1])}"
        others = (_shown(own[name]) for own in figures["rows"].values())
        chance = _shown(figures["retrieval_chance"]) if name == "retrieval" else "0"
        grid.add_row(title, Line(_shown(figures[name]), "bold"), interval, *others, chance)
    console.print(grid)
    alone = Grid("speaker", box=box.SIMPLE_HEAD)
    for column in SHORT:
        alone.add_column(column, justify="right")
    for speaker, own in figures["by_speaker"].items():
        alone.add_row(speaker, *(_shown(own[name]) for name in COLUMNS))
    console.print(alone)
    reasons: dict[str, list[str]] = {}
    for name, reason in figures["left_out"].items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        console.print(f"left out {', '.join(names)}: {reason}", style="yellow")


def section(figures: Figures, pictures: Path) -> Section:
    """The section of a report; ``pictures`` is the folder of the pictures."""
    blocks: list[Block] = [
        Text(
            f"Measured is {figures['measure']}. By chance {figures['retrieval_chance']:.2f} are retrieved. In "
            "brackets: bootstrap intervals of 95 % for other emotions of these speakers, or for other speakers if "
            f"there are many. The avatar says {figures['seconds']:.1f} s of {figures['spoken']}. {figures['training']}"
        )
    ]
    rows: list[list[Cell]] = [[label, *(_value(own, name) for name in COLUMNS)] for label, own in _rows(figures)]
    blocks.append(Table(["the avatar", *COLUMNS.values()], rows, highlight=0))
    blocks.append(Table(_EMOTION_COLUMNS, list(_emotions(figures)), "By emotion"))
    clips = {name: own["clips"] for name, own in figures["by_speaker"].items()}
    blocks += strips(pictures, clips)
    if figures["left_out"]:
        blocks.append(Rejected(list(figures["left_out"].items())))
    return Section("Style of people", blocks, [_verdict(figures)])


def _value(own: Figures, name: str) -> str:
    bounds = own.get("intervals", {}).get(name)
    return _shown(own[name]) + ("" if bounds is None else f" ({_shown(bounds[0])} to {_shown(bounds[1])})")


def _shown(value: float) -> str:
    """Two decimals, never -0.00."""
    return f"{round(value, 2) + 0.0:.2f}"


_EMOTION_COLUMNS = (
    *("speaker", "emotion", "lips r", "upper face r", "lips gain", "upper face gain", "taken for"),
    *("amplitude of the prompt", "of the avatar"),
)


def _emotions(figures: Figures) -> Iterator[list[Cell]]:
    for name, person in figures["by_speaker"].items():
        for emotion, own in person["emotions"].items():
            values: list[Cell] = [own[key] for key in ("lips", "upper", "gain_lips", "gain_upper")]
            factors = own["amplitude"]
            taken = ", ".join(dict.fromkeys(own["taken_for"]))
            yield [name, emotion, *values, taken, factors["prompt"], factors["avatar"]]


def _verdict(figures: Figures) -> Verdict:
    retrieval, chance = figures["retrieval"], figures["retrieval_chance"]
    low = figures["intervals"].get("retrieval", [None])[0]
    told = None if low is None else low > chance
    return Verdict("emotion of a person retrieved", round(retrieval, 2), f"above chance, {chance:.2f}", told)
