"""The results of a preference test: printed, as a page, as CSV and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from rich import box
from rich.table import Table as Grid

from vast_core.errors import InputError
from vast_core.files import write_text
from vast_core.report import Block, Cell, Section, Table, Text
from vast_core.report import write_report as write_html

from ..export import csv_text
from ..study import Study
from ..votes import RawVote
from .attendance import Attendance
from .preference import Pair, Preference, Strength, prefer
from .screening import Screened, screen_inattention

if TYPE_CHECKING:
    from rich.console import Console

READING = (
    "Strength: Bradley-Terry, the log odds against a system of mean strength, with the advantage of the left side "
    "removed; share: the same as a probability. Intervals are over judges. Pairs: share of choices for the first, each "
    "judge's share being one value; p by t tests against a half, Holm-corrected over the pairs of a question."
)


def report_preference(
    study: Study,
    votes: Sequence[RawVote],
    attendance: Sequence[Attendance],
    console: Console,
    folder: Path,
    *,
    keep_all: bool,
) -> Path:
    """Print the results and write ``report.html``, ``report.json`` and ``preference.csv``; return the page's path.

    Raises:
        InputError: if nobody has chosen yet.
    """
    screened = screen_inattention(votes, attendance)
    out = frozenset() if keep_all else frozenset(judge.judge for judge in screened if judge.rejected)
    found = prefer(study, votes, out)
    if not found and out:
        out, found = frozenset(), prefer(study, votes)
    if not found:
        raise InputError(f"{study.path}: nobody has chosen between two videos yet; try again when there are choices")
    left_out = [judge for judge in screened if judge.judge in out]
    titles = {question.name: question.title for question in study.questions}
    for result in found:
        console.print(_grid(titles.get(result.question, result.question), result))
        for pair in result.pairs:
            console.print(finding(pair))
    for line in _notes(found, left_out):
        console.print(f"note: {line}", soft_wrap=True)
    page = folder / "report.html"
    sections = [Section(titles.get(result.question, result.question), list(_blocks(study, result))) for result in found]
    method = Section("Methods", [Text(READING), *(Text(line) for line in _notes(found, left_out))])
    count = f"{found[0].judges} judges · {len(study.systems)} systems"
    write_html(page, title=study.title, subtitle=f"preference test · {count}", sections=[*sections, method])
    columns = ["question", "system", "strength", "low", "high", "share", "wins", "choices"]
    rows = [
        [r.question, own.system, own.strength, own.low, own.high, own.share, own.wins, own.choices]
        for r in found
        for own in r.strengths
    ]
    write_text(folder / "preference.csv", csv_text(columns, rows))
    whole = {
        "study": study.name,
        "left_out": sorted(out),
        "questions": [attrs.asdict(result) for result in found],
        "judges": [attrs.asdict(judge) for judge in screened],
    }
    write_text(folder / "report.json", json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    console.print(f"wrote {page}, with report.json and preference.csv beside it", soft_wrap=True)
    return page


def finding(pair: Pair) -> str:
    """What a comparison says, in a sentence."""
    share = f"{pair.first} is preferred to {pair.second} in {100 * pair.share.mean:.0f} % of {pair.choices} choices"
    if pair.p is None:
        return f"{share}; too few judges for a test"
    winner = pair.first if pair.share.mean > 0.5 else pair.second
    return f"{share}: {f'{winner} is better' if pair.evident else 'no evidence of a difference'} (p = {pair.p:.3g})"


def interval(own: Strength) -> str:
    """``-0.3 to 0.8``; empty if there is none."""
    return "" if own.low is None or own.high is None else f"{own.low:.2f} to {own.high:.2f}"


def _grid(title: str, result: Preference) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("system", overflow="fold")
    for column in ("strength", "95 % interval", "share", "wins"):
        grid.add_column(column, justify="right", no_wrap=True)
    for own in result.strengths:
        wins = f"{own.wins} of {own.choices}"
        grid.add_row(own.system, f"{own.strength:+.2f}", interval(own), f"{100 * own.share:.0f} %", wins)
    return grid


def _blocks(study: Study, result: Preference) -> Iterator[Block]:
    asked = next((question.text for question in study.questions if question.name == result.question), "")
    yield Text(asked)
    rows: list[list[Cell]] = [
        [own.system, f"{own.strength:+.2f}", interval(own) or None, f"{100 * own.share:.0f} %", own.wins, own.choices]
        for own in result.strengths
    ]
    yield Table(["system", "strength", "95 % interval", "share", "wins", "choices"], rows)
    pairs: list[list[Cell]] = [
        [
            f"{pair.first} over {pair.second}",
            f"{100 * pair.share.mean:.0f} %",
            pair.choices,
            None if pair.p is None else f"{pair.p:.3g}",
            finding(pair).partition(": ")[2] or None,
        ]
        for pair in result.pairs
    ]
    yield Table(["pair", "share for the first", "choices", "p", "finding"], pairs)


def _notes(found: Sequence[Preference], left_out: Sequence[Screened]) -> Iterator[str]:
    for result in found:
        if abs(result.left - 0.5) > 0.05:
            yield f"{result.question}: {100 * result.left:.0f} % of all choices were for the left side; it is removed"
    for judge in left_out:
        reasons = "; ".join(own.reason for own in judge.findings if own.rejects)
        yield f"judge {judge.judge} left out: {reasons}"
    if found[0].judges < 6:
        yield f"With only {found[0].judges} judges, intervals are wide, and a test detects only large differences."
