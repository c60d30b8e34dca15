"""Plots as SVG in the page's light or dark colours, and the way in which reports write numbers.

Text stays text, in the reader's own font. Matplotlib is imported when the first plot is drawn.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.0
"""Width of a plot in inches. At 72 pixels an inch it fits a phone without scaling, so its letters stay readable."""

COLOURS = ("#2f74d0", "#d9772b", "#1b9a77", "#8d62cf", "#c8455a", "#8a8f98")
"""Mid-tones with a contrast of at least 3:1 on the light and the dark page, distinguishable with colour blindness."""

INK = "#1f2328"
"""Colour of text in plots, on a light page."""

SOFT = "#66707b"
"""Colour of secondary text."""

LINE = "#dfe3e8"
"""Colour of thin lines."""

THEME = {INK: ("ink", "#e8eaed"), SOFT: ("soft", "#9aa3ad"), LINE: ("line", "#343a42")}
"""Each colour of the light page that a plot uses, its name, and the colour on a dark page."""

"""Colours of letters in tinted cells, whose background is the same on both pages."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def readable(value: float) -> str:
    """Three significant digits, without an exponent for common magnitudes: 0.00123, 1.23, 12,300."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude > 8:
        return f"{value:.2e}".replace("-", "−")
    digits = max(0, 2 - magnitude)
    return f"{value:,.{digits}f}".replace("-", "−")


def plot_losses(metrics_jsonl: Path) -> bytes:
    """Every loss over the steps, with one panel for each objective, from a run's ``metrics.jsonl``.

    Losses are keyed ``stage/objective/term``; ``gradient_norm`` is left out, as it is not a loss. A step that was
    repeated after a crash is drawn once, with its second value. The last line may be cut short, as a killed run
    leaves it; :class:`InputError` names any other line that is broken.
    """
    panels: dict[str, dict[str, dict[int, float]]] = {}
    for entry in _lines(metrics_jsonl):
        for key, loss in entry["losses"].items():
            objective, _, term = key.rpartition("/")
            if term != "gradient_norm":
                panels.setdefault(objective, {}).setdefault(term, {})[entry["step"]] = loss
    if not panels:
        return _sentence("No training step was logged.")
    with drawing(height=0.2 + 2.1 * len(panels), rows=len(panels)) as (figure, axes):
        for axis, (objective, terms) in zip(axes, panels.items(), strict=True):
            _loss_panel(axis, objective, terms)
        axes[-1].set_xlabel("step")
        return to_svg(figure)


def plot_bars(
    labels: Sequence[str],
    values: Sequence[float],
    errors: Sequence[float] | None,
    unit: str,
    caption: str,
    highlight: int | None = None,
) -> bytes:
    """A bar for each label with its value written out; ``errors`` are half-lengths of whiskers in the same unit.

    ``caption`` is written above the bars. If ``highlight`` is given, the other bars are grey.
    """
    if not len(labels) == len(values) == len(values if errors is None else errors):
        raise ValueError(
            f"plot_bars: {len(labels)} labels, {len(values)} values, "
            f"{'no' if errors is None else len(errors)} errors; give one of each for every bar"
        )
    with drawing(height=0.65 + 0.38 * len(labels), grid=False) as (figure, (axis,)):
        places = np.arange(len(labels))
        colours = [COLOURS[0] if highlight in (None, place) else COLOURS[-1] for place in places]
        lengths = np.nan_to_num(np.asarray(values, float))
        axis.barh(places, lengths, height=0.58, color=colours)
        whiskers = np.zeros(len(labels)) if errors is None else np.nan_to_num(np.asarray(errors, float))
        if errors is not None:
            axis.errorbar(lengths, places, xerr=whiskers, fmt="none", ecolor=INK, elinewidth=1, capsize=2.5)
        for place, value, length, whisker in zip(places, values, lengths, whiskers, strict=True):
            end = length + math.copysign(whisker, length)
            axis.annotate(
                f"{readable(value)} {unit}".strip(),
                (end, place),
                xytext=(4 if length >= 0 else -4, 0),
                textcoords="offset points",
                va="center",
                ha="left" if length >= 0 else "right",
                fontweight="bold" if highlight == place else "normal",
            )
        axis.axvline(0, color=SOFT, linewidth=0.8)
        axis.set_yticks(places, labels)
        axis.invert_yaxis()
        axis.margins(x=0.22)
        axis.set_xticks([])
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, labelcolor=INK)
        figure.suptitle(caption, x=0.01, ha="left")
        return to_svg(figure)


def plot_curves(time: ArrayLike, curves: Mapping[str, ArrayLike], ylabel: str, xlabel: str = "seconds") -> bytes:
    """Curves over ``time`` (T,), or what ``xlabel`` says, each (T,); the one named ``truth`` is grey, behind others."""
    seconds = np.asarray(time, float)
    with drawing(height=2.2) as (figure, (axis,)):
        colours = iter(COLOURS * (1 + len(curves) // len(COLOURS)))
        for name, curve in curves.items():
            values = np.asarray(curve, float)
            if values.shape != seconds.shape:
                raise ValueError(f"plot_curves: {name!r} is {values.shape}, but the time {seconds.shape}")
            if name == "truth":
                axis.plot(seconds, values, color=SOFT, linewidth=2.2, alpha=0.6, label=name, zorder=1)
            else:
                axis.plot(seconds, values, color=next(colours), linewidth=1.3, label=name, zorder=2)
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        axis.margins(x=0.01)
        _legend(axis, len(curves))
        return to_svg(figure)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            raise InputError(f"{path}:{number}: not a line of JSON ({error}); delete the line") from error
        if not (
            isinstance(entry, dict) and isinstance(entry.get("losses"), dict) and isinstance(entry.get("step"), int)
        ):
            raise InputError(f"{path}:{number}: lacks `step` or `losses`; delete the line")
        yield entry


def _loss_panel(axis: Axes, objective: str, terms: Mapping[str, Mapping[int, float]]) -> None:
    lowest, highest = math.inf, -math.inf
    for index, (term, by_step) in enumerate(terms.items()):
        steps = np.array(sorted(by_step))
        losses = np.array([by_step[step] for step in steps.tolist()], float)
        colour = COLOURS[index % len(COLOURS)]
        if len(steps) >= 40:  # The trend, with the noise shown faint behind it.
            axis.plot(steps, losses, color=colour, linewidth=0.7, alpha=0.28)
            axis.plot(steps, _smooth(losses), color=colour, linewidth=1.5, label=term)
        else:
            axis.plot(steps, losses, color=colour, linewidth=1.5, label=term, marker="o" if len(steps) == 1 else None)
        finite = losses[np.isfinite(losses)]
        if len(finite):
            lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
    if lowest > 0 and highest > 30 * lowest:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
    _legend(axis, len(terms), title=objective.replace("/", " · ") or "losses")


def _smooth(values: np.ndarray) -> np.ndarray:
    """Centred mean over a twentieth of the curve, ignoring NaN."""
    half = max(1, len(values) // 40)
    return np.array([np.nanmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def _legend(axis: Axes, entries: int, title: str = "") -> None:
    """Title and legend on their own lines above the panel, so that nothing covers a curve."""
    columns = min(entries, 4)
    legend = axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, frameon=False, borderaxespad=0.2)
    for text in legend.get_texts():
        text.set_color(INK)
    if title:
        axis.set_title(title, loc="left", pad=8 + 13 * math.ceil(entries / columns))


@contextmanager
def drawing(height: float, rows: int = 1, grid: bool = True) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """A figure in the page's style, ``height`` inches high, and its ``rows`` panels from top to bottom."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style = {
        "font.size": 9.5,
        "font.family": "DejaVu Sans",  # Used to measure text; wider than the fonts in which the page shows it.
        "svg.fonttype": "none",
        "svg.hashsalt": "vast",
        "text.color": INK,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "figure.titlesize": 10,
        "figure.titleweight": "bold",
        "axes.labelcolor": SOFT,
        "axes.edgecolor": LINE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": grid,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": LINE,
        "grid.linewidth": 0.7,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": SOFT,
        "ytick.labelcolor": SOFT,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "legend.handlelength": 1.2,
        "legend.columnspacing": 1.4,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(h_pad=0.06, hspace=0.06))
        axes = figure.subplots(rows, squeeze=False)[:, 0]
        yield figure, list(axes)


def _sentence(text: str) -> bytes:
    with drawing(height=0.7, grid=False) as (figure, (axis,)):
        axis.set_axis_off()
        axis.text(0.5, 0.5, text, ha="center", va="center", color=SOFT)
        return to_svg(figure)


def to_svg(figure: Figure) -> bytes:
    """SVG without document type, date and links; colours and font follow the reader's page."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = svg.replace("'DejaVu Sans'", FONT)
    for light, (name, _) in THEME.items():
        svg = svg.replace(light, f"var(--{name}, {light})")
    light = ";".join(f"--{name}:{colour}" for colour, (name, _) in THEME.items())
    dark = ";".join(f"--{name}:{colour}" for name, colour in THEME.values())
    theme = f"<style>:root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    end = svg.index(">") + 1
    return (svg[:end] + theme + svg[end:]).encode()
