"""The command ``vast study correlate``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from rich import box
from rich.table import Table

from vast_core.errors import InputError
from vast_core.files import write_text

from ..export import csv_text
from ..study import Study
from .analysis import analyse
from .commands import read_votes
from .correlation import FILE, Correlation, Measured, correlate
from .ratings import Ratings

if TYPE_CHECKING:
    from rich.console import Console

Evaluate = Callable[[Path, Path, Path], None]
"""Measures the videos of a folder against those of a second one and writes the results to a third."""


def correlate_study(
    study: Study, console: Console, evaluate: Evaluate, *, given: Mapping[str, Path], out: Path | None = None
) -> list[Correlation]:
    """Print the correlation of every measure with the votes, and write it as CSV and JSON.

    Systems without a ``given`` evaluation are measured by ``evaluate`` against the study's reference, once.

    Raises:
        InputError: if there are no votes yet, or a system can be neither found nor measured.
    """
    if unknown := sorted(given.keys() - study.systems.keys()):
        raise InputError(f"--eval {unknown[0]}: no such system (systems: {', '.join(study.systems)})")
    if study.test == "preference":
        raise InputError(f"{study.path}: choices say nothing of single videos; correlate a study of ratings")
    votes, judges = read_votes(study)
    analysis = analyse(study, votes, judges)
    out_of = {judge.judge for judge in analysis.left_out}
    ratings = Ratings.of(votes, [question.name for question in study.questions], list(study.systems)).without(out_of)
    measured = {}
    for name in study.systems:
        if name == study.reference:
            continue  # a recording is perfect beside itself, whatever people say of it
        measured[name] = Measured.read(given[name] if name in given else _evaluation(study, name, console, evaluate))
    found = correlate(ratings, measured)
    folder = out or study.folder / "correlation"
    columns = [field.name for field in attrs.fields(Correlation)]
    write_text(folder / "correlation.csv", csv_text(columns, [list(attrs.astuple(row)) for row in found]))
    whole = {
        "study": study.name,
        "systems": list(measured),
        "left_out": sorted(out_of),
        "protocol": next(iter(measured.values())).protocol,
        "digest": next(iter(measured.values())).digest,
        "correlations": [attrs.asdict(row) for row in found],
    }
    write_text(folder / "correlation.json", json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    for question in study.questions:
        if rows := [row for row in found if row.question == question.name]:
            console.print(_table(question.title, rows))
    console.print(
        "Spearman's rho: above 0 if what a measure calls better is rated better (without a direction: if more is). "
        f"Over {len(measured)} systems, and over single videos with the interval over clips. Votes of judges who were "
        "left out do not count."
    )
    console.print(f"wrote {folder / 'correlation.csv'} and correlation.json beside it", soft_wrap=True)
    return found


def _evaluation(study: Study, name: str, console: Console, evaluate: Evaluate) -> Path:
    folder = study.folder / "eval" / name
    if (folder / FILE).is_file():
        console.print(f"{name}: measured before, in {folder}; remove it to measure again", soft_wrap=True)
        return folder
    if study.reference is None:
        raise InputError(
            f"{study.path}: to measure its systems, name the recording with `reference:`, or give each one's "
            "evaluation: --eval NAME=FOLDER"
        )
    evaluate(study.systems[name], study.systems[study.reference], folder)
    return folder


def _table(title: str, rows: list[Correlation]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    for column in ("systems", "videos", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("better")
    for row in rows:
        interval = "" if row.low is None or row.high is None else f"{row.low:+.2f} to {row.high:+.2f}"
        table.add_row(row.measure, _rho(row.over_systems), _rho(row.over_videos), interval, row.better)
    return table


def _rho(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"
