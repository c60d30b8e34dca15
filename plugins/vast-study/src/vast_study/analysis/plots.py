"""Two plots per question: mean scores with their intervals, and the distribution of scores."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vast_core.report import COLOURS, INK, SOFT, drawing, to_svg

from ..study import Question
from .scores import Mos

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = ("#b5541c", "#e8b48c", "#c9cdd3", "#93b9e6", "#2361b8")
"""Colours of 1 to 5, distinguishable by the colour-blind, on light and dark pages."""

_LETTERS = ("#ffffff", "#20242a", "#20242a", "#20242a", "#ffffff")

NARROW = 0.07
"""Share of votes below which a segment has no label."""


def plot_means(scores: Sequence[Mos], everyone: Sequence[Mos]) -> bytes:
    """Dots with 95 % intervals over judges (thick) and over judges and clips (thin); means of all judges are hollow."""
    with drawing(height=0.8 + 0.4 * len(scores), grid=False) as (figure, (axis,)):
        for place, mos in enumerate(scores):
            for estimate, width, alpha in ((mos.over_both, 1.0, 0.7), (mos.score, 3.2, 1.0)):
                if estimate is not None and estimate.low is not None and estimate.high is not None:
                    ends = np.clip([estimate.low, estimate.high], 1, 5)
                    axis.plot(ends, [place] * 2, color=COLOURS[0], linewidth=width, alpha=alpha, solid_capstyle="butt")
            axis.plot([mos.score.mean], [place], "o", color=COLOURS[0], markersize=7)
            axis.annotate(
                f"{mos.score.mean:.2f}", (5.12, place), va="center", ha="left", annotation_clip=False, color=INK
            )
            other = next((each for each in everyone if each.system == mos.system), None)
            if other is not None and abs(other.score.mean - mos.score.mean) >= 0.005:
                axis.plot([other.score.mean], [place + 0.27], "o", color=SOFT, markerfacecolor="none", markersize=4.5)
        for score in range(1, 6):
            axis.axvline(score, color=SOFT, linewidth=0.5, alpha=0.4, zorder=0)
        _systems(axis, scores)
        axis.set_xlim(0.9, 5.1)
        axis.set_xticks(range(1, 6), [f"{score}" for score in range(1, 6)])
        axis.set_xlabel("mean opinion score")
        return to_svg(figure)


def plot_distribution(question: Question, scores: Sequence[Mos]) -> bytes:
    """Stacked bars of the shares of 1 to 5 among a system's votes."""
    with drawing(height=1.3 + 0.4 * len(scores), grid=False) as (figure, (axis,)):
        counts = np.array([mos.counts for mos in scores], float)
        shares = counts / counts.sum(axis=1, keepdims=True)
        starts = np.cumsum(shares, axis=1) - shares
        for step in range(5):
            label = f"{step + 1} {question.labels[step]}".strip() if step < len(question.labels) else f"{step + 1}"
            axis.barh(
                range(len(scores)), shares[:, step], left=starts[:, step], height=0.64, color=STEPS[step], label=label
            )
            for place, (start, share) in enumerate(zip(starts[:, step], shares[:, step], strict=True)):
                if share >= NARROW:
                    words = f"{100 * share:.0f}"
                    axis.text(start + share / 2, place, words, ha="center", va="center", color=_LETTERS[step])
        _systems(axis, scores)
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
        axis.set_xlabel("share of the votes, %")
        figure.legend(
            loc="outside upper left", ncols=3, frameon=False, handlelength=1, columnspacing=1.2, labelcolor=INK
        )
        return to_svg(figure)


def _systems(axis: Axes, scores: Sequence[Mos]) -> None:
    axis.set_yticks(range(len(scores)), [textwrap.fill(mos.system, 18) for mos in scores])
    axis.set_ylim(len(scores) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.spines["left"].set_visible(False)
