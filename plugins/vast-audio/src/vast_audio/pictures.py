"""Pictures of phone posteriors over time and of phone confusions, as PNG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vast_core.files import replacing
from vast_core.interfaces import SAMPLE_RATE, Phone
from vast_core.phones import PHONE_INDEX, PHONES, SILENCE, VISEME_OF, VISEMES
from vast_core.report import COLOURS, INK, LINE, SOFT

from .figures import STEPS_PER_SECOND, Tally
from .recognition import Window, decided

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPED = tuple(sorted(PHONES, key=lambda phone: (VISEMES.index(VISEME_OF[phone]), PHONES.index(phone))))
"""The 40 labels by viseme group, silence first."""

_STRIP = 5.0
"""Most seconds in one strip, so that phones of 60 ms have room for their names."""
_DOTS_PER_INCH = 110
_SHORTEST_NAMED = 0.03
"""Recognised phones shorter than this, in seconds, are not named."""
_BLUE, _ORANGE = COLOURS[:2]
_ORDER = np.array([PHONE_INDEX[phone] for phone in GROUPED])
_EDGES = [n for n in range(1, len(GROUPED)) if VISEME_OF[GROUPED[n]] != VISEME_OF[GROUPED[n - 1]]]
"""Rows at which a viseme group begins."""


def draw_window(path: Path, window: Window, title: str, said: Sequence[Phone] = ()) -> None:
    """Draw sound, posteriors and the most probable phones of ``window``, and write ``path``.

    ``said`` are the phones of a transcript, in seconds after the window's start; they are named above, and outlined in
    the posteriors. Long windows are drawn as several strips. Raises :class:`vast_core.errors.StorageError` if ``path``
    cannot be written.
    """
    strips = max(1, math.ceil(window.seconds / _STRIP - 1e-6))
    span = window.seconds / strips
    rows = (0.7, *((0.36,) if said else ()), 0.36, 4.9)
    width = 1.5 + 2.3 * max(span, 1.5)
    with _written(path, width, 0.6 + strips * (sum(rows) + 0.5)) as figure:
        figure.suptitle(_title(title, bool(said)), x=0.01, ha="left", wrap=True)
        outer = figure.add_gridspec(strips, 1)
        peak = float(np.abs(window.wave).max(initial=0.0))
        for strip in range(strips):
            inner = outer[strip].subgridspec(len(rows), 1, height_ratios=rows, hspace=0.02)
            axes = [figure.add_subplot(inner[row]) for row in range(len(rows))]
            begin, end = window.start + strip * span, window.start + (strip + 1) * span
            _draw_sound(axes[0], window, peak)
            if said:
                _draw_names(axes[1], "said", said, window.start, (begin, end), _ORANGE)
            heard = [p for p in decided(window.posteriors) if p.end - p.start > _SHORTEST_NAMED]
            _draw_names(axes[-2], "heard", heard, window.start, (begin, end), INK)
            _draw_posteriors(axes[-1], window, said)
            for axis in axes:
                axis.set_xlim(begin, end)
            for axis in axes[:-1]:
                axis.set_xticks([])
        axes[-1].set_xlabel("seconds")


def draw_confusion(path: Path, tally: Tally, title: str) -> None:
    """Draw the confusion matrices of viseme groups and phones, as shares of each row, and write ``path``.

    Raises :class:`vast_core.errors.StorageError` if ``path`` cannot be written.
    """
    with _written(path, 13.6, 7.9) as figure:
        figure.suptitle(f"{title}: recognised (column) given said (row), in % of the row", x=0.01, ha="left")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        visemes = shares(tally.visemes)
        _draw_matrix(left, visemes, VISEMES)
        for (row, column), share in np.ndenumerate(visemes):
            if not math.isnan(share) and round(100 * share):
                colour = "white" if share > 0.55 else INK
                left.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=8)
        _draw_matrix(right, shares(tally.phones[np.ix_(_ORDER, _ORDER)]), GROUPED)
        right.tick_params(labelsize=6.5)
        for edge in _EDGES:
            right.axhline(edge - 0.5, color=SOFT, linewidth=0.5)
            right.axvline(edge - 0.5, color=SOFT, linewidth=0.5)
        for axis, what in ((left, "viseme groups"), (right, "phones, by viseme group")):
            axis.set_anchor("N")
            axis.set_title(what, loc="left")
            axis.set_xlabel("recognised")
            axis.set_ylabel("said")


def shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Counts (R, C) as shares of their row; NaN in empty rows."""
    totals = counts.sum(1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)


def _title(title: str, said: bool) -> str:
    frames = "; orange frames: the transcript, aligned" if said else ""
    return f"{title}\nprobability of each phone (pale 0, dark 1){frames}"


def _draw_sound(axis: Axes, window: Window, peak: float) -> None:
    """Draw the minimum and maximum sample of every 2 ms."""
    size = SAMPLE_RATE // 500
    blocks = np.pad(window.wave, (0, -len(window.wave) % size)).reshape(-1, size)
    times = window.start + (np.arange(len(blocks)) + 0.5) * size / SAMPLE_RATE
    axis.fill_between(times, blocks.min(1), blocks.max(1), color=SOFT, linewidth=0.4)
    bound = max(peak, 1e-3)
    axis.set_ylim(-1.05 * bound, 1.05 * bound)
    axis.set_yticks([-bound, bound], [f"−{bound:.2g}", f"{bound:.2g}"])
    axis.set_ylabel("sound", rotation=0, ha="right", va="center", color=INK)


def _draw_names(
    axis: Axes, what: str, phones: Sequence[Phone], start: float, span: tuple[float, float], colour: str
) -> None:
    axis.set_ylim(0, 1)
    axis.set_yticks([0.5], [what])
    for number, phone in enumerate(p for p in phones if p.label != SILENCE):
        first, last = start + phone.start, start + phone.end
        axis.axvspan(first, last, color=_BLUE if number % 2 else _ORANGE, alpha=0.13, linewidth=0)
        middle = (first + last) / 2
        if span[0] <= middle < span[1]:
            # Alternate between two lines, because neighbours of 40 ms have no room side by side.
            height = 0.26 if number % 2 else 0.71
            axis.text(middle, height, phone.label, size=7, weight="bold", color=colour, ha="center", va="center")


def _draw_posteriors(axis: Axes, window: Window, said: Sequence[Phone]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    rows = window.posteriors[:, _ORDER]
    half = 0.5 / STEPS_PER_SECOND
    extent = (window.start - half, window.start + len(rows) / STEPS_PER_SECOND - half, -0.5, len(GROUPED) - 0.5)
    axis.imshow(
        rows.T, origin="lower", aspect="auto", extent=extent, cmap="Blues", vmin=0, vmax=1, interpolation="nearest"
    )
    for edge in _EDGES:
        axis.axhline(edge - 0.5, color=SOFT, linewidth=0.5)
    frames = [
        Rectangle((window.start + p.start, GROUPED.index(p.label) - 0.5), p.end - p.start, 1)
        for p in said
        if p.end > 0 and p.start < window.seconds
    ]
    axis.add_collection(PatchCollection(frames, facecolor="none", edgecolor=_ORANGE, linewidth=1.1))
    axis.set_yticks(range(len(GROUPED)), GROUPED, fontsize=6.5)
    axis.tick_params(axis="y", length=0)
    bounds = [0, *_EDGES, len(GROUPED)]
    for first, last in pairwise(bounds):
        group = VISEME_OF[GROUPED[first]]
        if last - first > 1:  # a group of one phone already has its name
            axis.annotate(
                group,
                (0, (first + last - 1) / 2),
                xycoords=("axes fraction", "data"),
                xytext=(-24, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=7.5,
                fontweight="bold",
                color=SOFT,
            )


def _draw_matrix(axis: Axes, values: NDArray[np.float64], labels: Sequence[str]) -> None:
    axis.imshow(values, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axis.set_xticks(range(len(labels)), labels, rotation=90)
    axis.set_yticks(range(len(labels)), labels)
    axis.tick_params(length=0, labelcolor=INK)


@contextmanager
def _written(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of ``width`` by ``height`` inches, written atomically as PNG after it is drawn."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style = {
        "font.size": 9,
        "font.family": "DejaVu Sans",
        "text.color": INK,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "figure.titlesize": 10,
        "figure.titleweight": "bold",
        "axes.labelcolor": SOFT,
        "axes.edgecolor": LINE,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": SOFT,
        "ytick.labelcolor": INK,
        "savefig.dpi": _DOTS_PER_INCH,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.04, w_pad=0.06))
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
