"""From the runs of an ablation to what may be said of its cells, measure by measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from vast_core.report import Estimate, estimate

from .results import Ablation, CellResult, Measure
from .statistics import Comparison, compare


@attrs.frozen
class Row:
    """One cell in one measure."""

    cell: str
    estimate: Estimate
    comparison: Comparison | None
    """With the base cell; None for that itself, and where no seed has both."""
    seeds: Mapping[int, float]
    """The means over clips that it rests on, by seed."""


@attrs.frozen
class MeasureTable:
    """All cells in one measure, the base first where it has the measure."""

    name: str
    measure: Measure
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
    """Every measure's cells against the base cell; runs that are not done, or lack the measure, do not count."""
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
    """A measure of each clip of each seed, where it is measured clip by clip."""
    return {
        (seed, clip): values[measure]
        for seed, run in sorted(cell.done.items())
        for clip, values in run.clips.items()
        if measure in values
    }
