"""The ablation's page: one HTML file with the tables, the plots and the recipe of every cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vast_core.report import Block, Cell, Figure, Listing, Rejected, Section, Table, Text, write_report

from .comparison import MeasureTable
from .forest import plot_forest
from .invariance import invariance
from .results import Ablation
from .tables import COLUMNS, reading, written

MARKS = {"better": "▲ better", "worse": "▼ worse", "different": "◆ different", "no evidence": "·", "not tested": "–"}


def write_page(folder: Path, ablation: Ablation, tables: Sequence[MeasureTable]) -> Path:
    """Write ``report.html`` into the ablation's folder, and return its path.

    Raises :class:`vast_core.errors.StorageError` if it cannot be written.
    """
    path = folder / "report.html"
    varied = ", ".join(f"{key} ({len(values)} value{'s' * (len(values) > 1)})" for key, values in ablation.vary.items())
    seeds = ", ".join(map(str, ablation.seeds))
    write_report(
        path,
        title=f"Ablation of {ablation.recipe}",
        subtitle=f"{varied} · {len(ablation.cells)} cells · seed{'s' * (len(ablation.seeds) > 1)} {seeds}",
        sections=[
            Section("Overview", list(_glance(ablation, tables))),
            *(Section(table.title, list(_measure(ablation, table))) for table in tables),
            *invariance(ablation),
            Section("Cells", list(_cells(folder, ablation))),
        ],
    )
    return path


def _glance(ablation: Ablation, tables: Sequence[MeasureTable]) -> Iterator[Block]:
    """Every cell compared with the base cell in every measure; only differences with evidence are marked."""
    yield Text(reading(ablation))
    verdicts = {
        (table.name, row.cell): MARKS[row.comparison.verdict]
        for table in tables
        for row in table.rows
        if row.comparison is not None
    }
    others = [cell.name for cell in ablation.cells if cell.name != ablation.base]
    rows: list[list[Cell]] = [
        [ablation.shown(cell), *(verdicts.get((table.name, cell), "not measured") for table in tables)]
        for cell in others
    ]
    if rows and tables:
        columns = [ablation.heading, *(table.name for table in tables)]
        yield Table(columns, rows, f"Compared with {ablation.base}; a dot means no evidence of a difference")
    if ablation.notes:
        yield Text("\n\n".join(ablation.notes))


def _measure(ablation: Ablation, table: MeasureTable) -> Iterator[Block]:
    yield Table([ablation.heading, *COLUMNS], [written(row, ablation) for row in table.rows], highlight=0)
    if (plot := plot_forest(table, ablation)) is not None:
        yield Figure(
            "Difference from the base with its 95 % interval; filled if there is evidence; small dots are seeds", plot
        )


def _cells(folder: Path, ablation: Ablation) -> Iterator[Block]:
    rows: list[list[Cell]] = []
    for cell in ablation.cells:
        done = cell.done
        seconds = sum(run.seconds for run in done.values()) / len(done) if done else None
        rows.append([ablation.shown(cell.name), f"{len(done)} of {len(cell.runs)}", seconds, cell.recipe])
    yield Table([ablation.heading, "runs done", "seconds per run", "recipe of the first seed"], rows)
    if ablation.failures:
        yield Text("Failed runs, not in the tables:")
        yield Rejected(ablation.failures)
    for cell in ablation.cells:
        recipe = folder / cell.recipe
        if recipe.is_file():
            yield Listing(f"Recipe of {cell.name}", recipe.read_text(encoding="utf-8"))
