"""Plots of an evaluation: the spread of a measure over clips, and lips over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vast_core.report import COLOURS, INK, SOFT, drawing, to_svg

from .results import ClipResult, Evaluation
from .tables import having

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIRECTIONS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "closer to 0": "closer to 0 is better",
    "neither": "neither is better",
}

_PLACES = 60
"""Number of bins along the axis, in which dots are stacked so that they do not hide each other."""


def title_of(measure: str, better: str, unit: str) -> str:
    """Name, unit and direction of a measure, in words."""
    return f"{measure.replace('_', ' ')} ({', '.join(filter(None, [unit, DIRECTIONS[better]]))})"


def plot_spread(evaluation: Evaluation, measures: Sequence[str]) -> bytes:
    """A panel for each of ``measures``: a dot per clip, and below them the value over all with its interval."""
    with drawing(height=0.15 + 1.05 * len(measures), rows=len(measures), grid=False) as (figure, axes):
        for axis, name in zip(axes, measures, strict=True):
            own, found = evaluation.measures[name], evaluation.overall[name]
            values = np.array([clip.values[name] for clip in having(evaluation, name)])
            heights = stacked(values)
            axis.scatter(values, heights, s=22, color=COLOURS[0], alpha=0.75, linewidth=0)
            if found.low is not None and found.high is not None:
                axis.plot([found.low, found.high], [-1, -1], color=INK, linewidth=1.6, solid_capstyle="butt")
            axis.plot([found.value], [-1], "D", color=INK, markersize=5)
            if own.better == "closer to 0":
                axis.axvline(0, color=SOFT, linewidth=0.8, zorder=0)
            axis.set_ylim(-2.2, max(2.0, float(heights.max(initial=0)) + 0.8))
            _bare(axis)
            axis.set_title(title_of(name, own.better, own.unit), loc="left", fontweight="normal")
        return to_svg(figure)


def stacked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights of dots at ``values``: 0, 1, 2 ... for those in the same bin of the axis, compressed below 4."""
    span = float(np.ptp(values)) if len(values) else 0.0
    places = np.zeros(len(values), int) if span == 0 else np.round((values - values.min()) / span * _PLACES).astype(int)
    heights = np.zeros(len(values))
    for place in np.unique(places):
        (there,) = np.nonzero(places == place)
        heights[there] = np.arange(len(there))
    return np.asarray(heights * min(1.0, 4 / max(1.0, float(heights.max(initial=0)))))


def plot_lips(clip: ClipResult, fps: float) -> bytes:
    """Inner-lip opening of both sides over time."""
    with drawing(height=1.9) as (figure, (axis,)):
        for name, colour, width in (("reference", SOFT, 2.2), ("generated", COLOURS[0], 1.3)):
            if opening := clip.curves.get(name):
                axis.plot(np.arange(len(opening)) / fps, opening, color=colour, linewidth=width, label=name)
        axis.set_xlabel("seconds")
        axis.set_ylabel("lip opening")
        axis.margins(x=0.01)
        legend = axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, frameon=False, borderaxespad=0.2)
        for text in legend.get_texts():
            text.set_color(INK)
        return to_svg(figure)


def _bare(axis: Axes) -> None:
    """Show only the axis of values."""
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.locator_params(axis="x", nbins=6)
    axis.margins(x=0.04)
