"""Compare the cells of an ablation, measure by measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from vast_core.report import Estimate, estimate

from .results import Ablation, CellResult, MeasureKind
from .statistics import Comparison, compare


@attrs.frozen
class Row:
    """One cell in one measure."""

    cell: str
    estimate: Estimate
    comparison: Comparison | None
    """Comparison with the base cell; None for the base cell itself, and if no seed has both."""
    seeds: Mapping[int, float]
    """The means over clips on which it is based, by seed."""


@attrs.frozen
class MeasureTable:
    """All cells in one measure, starting with the base cell if it has the measure."""

    name: str
    measure: MeasureKind
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Name, unit and direction."""
        words = {
            "lower": "lower is better",
            "higher": "higher is better",
            "closer to 0": "closer to 0 is better",
            "neither": "neither is better",
        }
        inside = ", ".join(filter(None, [self.measure.unit, words[self.measure.better]]))
        return f"{self.name.replace('_', ' ')} ({inside})"


def compare_cells(ablation: Ablation) -> tuple[MeasureTable, ...]:
    """Every measure's cells compared with the base cell; unfinished runs and runs without the measure are ignored."""
    return tuple(_tables(ablation))


def _tables(ablation: Ablation) -> Iterator[MeasureTable]:
    for name, measure in ablation.measures.items():
        values = {cell.name: found for cell in ablation.cells if (found := _by_seed(cell, name))}
        base = values.get(ablation.base, {})
        others = {cell: own for cell, own in values.items() if cell != ablation.base}
        compared = compare(base, others, measure.better)
        rows = [Row(cell, estimate(list(own.values())), compared.get(cell), own) for cell, own in values.items()]
        if rows:
            yield MeasureTable(name, measure, tuple(rows))


def _by_seed(cell: CellResult, measure: str) -> dict[int, float]:
    return {seed: run.measures[measure] for seed, run in sorted(cell.done.items()) if measure in run.measures}


def pooled(cell: CellResult, measure: str) -> dict[tuple[int, str], float]:
    """Values of a measure by seed and clip, if it is measured per clip."""
    return {
        (seed, clip): values[measure]
        for seed, run in sorted(cell.done.items())
        for clip, values in run.clips.items()
        if measure in values
    }
