"""The results in the terminal, as CSV and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from vast_core.files import write_text
from vast_core.report import Estimate

from . import wording
from .analysis import Analysis

COLUMNS = (
    *("question", "system", "judges", "votes", "mos", "low", "high"),
    *("judges_clips_low", "judges_clips_high", "votes_mean", "votes_low", "votes_high"),
    *("ones", "twos", "threes", "fours", "fives"),
    *("all_judges", "all_judges_mos", "all_judges_low", "all_judges_high"),
)
"""Columns of ``mos.csv``: the mean of the judges' means and its interval over judges, the intervals over judges and
clips and over votes, the count of each score; then the same mean including the judges who were left out."""


def printed(analysis: Analysis) -> Group:
    """The mean scores, the findings of each question, the judges left out, and notes."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    grid.add_column("system", overflow="fold")
    for question in analysis.questions:
        grid.add_column(Text(question.title), justify="right")
    for system in analysis.systems:
        found = [analysis.main.score(question.name, system) for question in analysis.questions]
        grid.add_row(Text(system), *(wording.score(mos.score if mos else None) for mos in found))
    parts: list[Table | Text] = [Text(analysis.study.title, "bold"), grid, Text(f"{wording.unit(analysis)}.", "dim")]
    if len(analysis.systems) > 1 and analysis.main.judges > 1:
        for question in analysis.questions:
            sentence = wording.finding(analysis.main.comparison(question.name), len(analysis.systems))
            parts.append(Text.assemble((f"{question.title}: ", "bold"), sentence))
    for judge in analysis.left_out:
        reasons = "; ".join(f"{finding.screen}, {finding.reason}" for finding in judge.findings if finding.rejects)
        parts.append(Text.assemble((f"judge {judge.judge} left out: ", "yellow"), reasons))
    flagged = [str(judge.judge) for judge in analysis.judges if wording.outcome(judge, analysis) == "flagged, kept"]
    if flagged:
        parts.append(Text(f"flagged but kept: judge{'s' * (len(flagged) > 1)} {', '.join(flagged)}"))
    parts += [Text(f"note: {note}") for note in analysis.notes]
    return Group(*parts)


def mos_rows(analysis: Analysis) -> Iterator[list[object]]:
    """A row for each question and system, in the order of :data:`COLUMNS`."""
    for everyone in analysis.everyone.scores:
        mos = analysis.main.score(everyone.question, everyone.system)
        all_judges = [everyone.judges, *_ends(everyone.score)]
        if mos is None:
            yield [everyone.question, everyone.system, 0, 0, *[None] * 13, *all_judges]
            continue
        yield [
            mos.question,
            mos.system,
            mos.judges,
            mos.votes,
            *_ends(mos.score),
            *_ends(mos.over_both)[1:],
            *_ends(mos.over_votes),
            *mos.counts,
            *all_judges,
        ]


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if estimate is None else (estimate.mean, estimate.low, estimate.high)


def write_json(path: Path, analysis: Analysis) -> None:
    """Everything on the page, as JSON."""
    study = analysis.study
    everything: dict[str, Any] = {
        "study": {"name": study.name, "title": study.title, "seed": study.seed},
        "questions": [attrs.asdict(question) for question in analysis.questions],
        "systems": analysis.systems,
        "clips": analysis.clips,
        "votes_by_kind": analysis.kinds,
        "screened": analysis.screened,
        "limits": attrs.asdict(analysis.limits),
        "left_out": [judge.judge for judge in analysis.left_out],
        "judges": [attrs.asdict(judge) for judge in analysis.judges],
        "main": attrs.asdict(analysis.main),
        "everyone": attrs.asdict(analysis.everyone),
        "notes": analysis.notes,
    }
    write_text(path, json.dumps(everything, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
