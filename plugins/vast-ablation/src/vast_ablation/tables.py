"""The comparison in the terminal and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from vast_core.files import write_text
from vast_core.report import Estimate, readable

from .comparison import MeasureTable, Row
from .results import Ablation

STYLES = {"better": "bold green", "worse": "red", "different": "bold"}

COLUMNS = ("mean ± 95 %", "minus base ± 95 %", "p (Holm)", "verdict")
"""Columns of a table after the first, which has the names of cells (:attr:`Ablation.heading`)."""

WORD_COLUMNS = 24
"""Terminal columns for the longest word of a cell's name before numbers are wrapped."""


def print_tables(ablation: Ablation, tables: Sequence[MeasureTable]) -> Group:
    """A table for each measure, and a note on how to read them."""
    parts: list[Table | Text] = []
    for table in tables:
        grid = Table(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))
        rows = [written(row, ablation) for row in table.rows]
        longest = max((len(word) for name, *_ in rows for word in name.split()), default=0)
        columns = (ablation.heading, *COLUMNS)
        for number, column in enumerate(columns):
            side: Literal["left", "right"] = "left" if number in (0, len(columns) - 1) else "right"
            # names are not broken within a word if there is space beside the numbers
            width = min(longest, WORD_COLUMNS) if number == 0 else None
            grid.add_column(column, justify=side, overflow="fold", min_width=width)
        for *cells, verdict in rows:
            grid.add_row(*cells, Text(verdict, STYLES.get(verdict, "")))
        parts.append(grid)
    return Group(*parts, Text(reading(ablation)))


def written(row: Row, ablation: Ablation) -> list[str]:
    """The cells of a row: its name, then those of :data:`COLUMNS`."""
    name = ablation.shown(row.cell) + (" (base)" if row.cell == ablation.base else "")
    own = [name, plus_minus(row.estimate)]
    found = row.comparison
    if found is None:
        return [*own, "", "", ""]
    p = "" if found.adjusted is None else ("<0.001" if found.adjusted < 0.001 else f"{found.adjusted:.3f}")
    sign = "+" if found.difference.mean > 0 else ""
    return [*own, sign + plus_minus(found.difference), p, found.verdict]


def plus_minus(estimate: Estimate) -> str:
    """A mean and half its interval, with appropriate digits; only the mean of a single value."""
    if estimate.high is None:
        return readable(estimate.mean)
    half = estimate.high - estimate.mean
    if not 1e-6 < half < 1e6:
        return f"{readable(estimate.mean)} ± {readable(half)}"
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{estimate.mean:,.{decimals}f} ± {half:,.{decimals}f}".replace("-", "−")


def reading(ablation: Ablation) -> str:
    """A note on how to read the tables."""
    lost = "; ".join(f"{', '.join(names)} of {title}" for title, names in ablation.left_out)
    without = f" Omitted, because not finite: {lost}." if lost else ""
    count = len(ablation.seeds)
    if count < 2:
        return "One seed: there are no intervals and no tests. Use --seeds for more." + without
    near_zero = any(measure.better == "closer to 0" for measure in ablation.measures.values())
    return (
        f"Means over held-out clips, then over {count} seeds; Student's 95 % intervals over seeds. Each cell is "
        f"compared with {ablation.base} seed by seed: paired t test, Holm's correction over the cells of a measure. "
        "'no evidence': the difference may be chance, and there is no winner. 'not tested': fewer than two common "
        "seeds, or a difference that is the same in all."
        + " Where closer to 0 is better, distances from 0 are compared." * near_zero
        + without
    )


def write_csv(folder: Path, ablation: Ablation, tables: Sequence[MeasureTable]) -> list[Path]:
    """``comparison.csv``, a row per cell and measure, and ``values.csv``, a row per cell, measure, seed and clip."""
    head = "measure,unit,better,cell,seeds,mean,low,high,difference,difference_low,difference_high,p,p_holm,verdict"
    files: dict[str, list[Sequence[object]]] = {
        "comparison.csv": [head.split(","), *_compared(tables)],
        "values.csv": [["cell", "measure", "seed", "clip", "value"], *_values(ablation)],
    }
    for name, lines in files.items():
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(lines)
        write_text(folder / name, stream.getvalue())
    return [folder / name for name in files]


def _compared(tables: Sequence[MeasureTable]) -> Iterator[list[object]]:
    for table in tables:
        for row in table.rows:
            own = [table.name, table.measure.unit, table.measure.better, row.cell, row.estimate.count]
            means: list[object] = [row.estimate.mean, row.estimate.low, row.estimate.high]
            found = row.comparison
            if found is None:
                yield [*own, *means, *[None] * 6]
            else:
                away = found.difference
                yield [*own, *means, away.mean, away.low, away.high, found.p, found.adjusted, found.verdict]


def _values(ablation: Ablation) -> Iterator[list[object]]:
    """Values by clip; the mean over clips, without a clip's name, comes first."""
    for cell in ablation.cells:
        for seed, run in sorted(cell.done.items()):
            for measure, mean in run.measures.items():
                yield [cell.name, measure, seed, None, mean]
                for clip, values in run.clips.items():
                    if measure in values:
                        yield [cell.name, measure, seed, clip, values[measure]]
