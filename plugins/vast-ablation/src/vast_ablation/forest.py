"""A forest plot: each cell's difference from the base cell with its interval, and the values of the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vast_core.report import COLOURS, INK, SOFT, drawing, to_svg

from .comparison import MeasureTable
from .results import Ablation
from .statistics import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_forest(table: MeasureTable, ablation: Ablation) -> bytes | None:
    """SVG of the differences in one measure; None if nothing is compared.

    A filled dot is a difference with evidence; the small dots are seeds.
    """
    rows = [(row.cell, row.comparison, row.seeds) for row in table.rows if row.comparison is not None]
    if not rows:
        return None
    home = next(row for row in table.rows if row.cell == ablation.base).seeds
    size = abs if table.measure.better == "closer to 0" else float
    with drawing(height=0.95 + 0.34 * len(rows), grid=False) as (figure, (axis,)):
        for place, (_, found, own) in enumerate(rows):
            _draw(axis, place, found, [size(own[seed]) - size(home[seed]) for seed in own.keys() & home.keys()])
        axis.axvline(0, color=SOFT, linewidth=0.9, zorder=0)
        axis.set_yticks(range(len(rows)), [ablation.shown(cell) for cell, _, _ in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0, labelcolor=INK)
        axis.locator_params(axis="x", nbins=5)
        axis.margins(x=0.08)
        axis.set_xlabel("difference from the base" + (f", {table.measure.unit}" if table.measure.unit else ""))
        figure.suptitle(table.title, x=0.01, ha="left")
        return to_svg(figure)


def _draw(axis: Axes, place: int, found: Comparison, seeds: Sequence[float]) -> None:
    evident = found.verdict in ("better", "worse", "different")
    colour = {"better": COLOURS[2], "worse": COLOURS[4]}.get(found.verdict, COLOURS[0] if evident else COLOURS[-1])
    axis.plot(seeds, [place + 0.24] * len(seeds), ".", color=SOFT, markersize=3.5)
    low, high = found.difference.low, found.difference.high
    if low is not None and high is not None:
        axis.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="round")
    fill = colour if evident else "none"
    axis.plot([found.difference.mean], [place], "o", color=colour, markerfacecolor=fill, markersize=6)
