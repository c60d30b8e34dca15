"""Phones and figures as tables, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from vast_core.interfaces import Phone
from vast_core.phones import PHONE_INDEX, PHONES, VISEME_OF, VISEMES

from .evaluation import Evaluation
from .figures import STEPS_PER_SECOND, Figures, Tally
from .labelled_speech import labels
from .pictures import shares
from .recognition import Window, decided, row_times


def phone_table(window: Window, said: Sequence[Phone] = ()) -> Table:
    """The recognised phones of ``window``: when, which, in which viseme group, and their mean probability.

    ``said`` are the phones of a transcript, in seconds after the window's start; each is in the row of the phone that
    is recognised at its middle. It is green if at least half of it is recognised correctly, yellow if in the correct
    viseme group, otherwise red.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("from, s", justify="right")
    table.add_column("to, s", justify="right")
    table.add_column("heard")
    table.add_column("group")
    table.add_column("probability", justify="right")
    if said:
        table.add_column("said")
    coloured = [
        (0.5 * (p.start + p.end), Text(p.label, colour)) for p, colour in zip(said, _colours(window, said), strict=True)
    ]
    for heard in decided(window.posteriors):
        rows = slice(round(heard.start * STEPS_PER_SECOND), round(heard.end * STEPS_PER_SECOND))
        cells: list[str | Text] = [f"{window.start + time:.2f}" for time in (heard.start, heard.end)]
        cells += [Text(heard.label, "bold"), VISEME_OF[heard.label]]
        cells.append(f"{window.posteriors[rows, PHONE_INDEX[heard.label]].mean():.2f}")
        if said:
            cells.append(Text(" ").join(name for middle, name in coloured if heard.start <= middle < heard.end))
        table.add_row(*cells)
    return table


def closures(window: Window, said: Sequence[Phone]) -> Iterator[str]:
    """Recognition of the P, B and M that were said: how many were recognised as one of them, and which were missed."""
    inside = [p for p in said if VISEME_OF[p.label] == "PBM" and p.start < window.seconds]
    if not inside:
        return
    best = _heard_instead(window, inside)
    missed = [(phone, label) for phone, label in zip(inside, best, strict=True) if label is not None]
    yield f"lip closures (P, B, M): {len(inside)} said, {len(inside) - len(missed)} recognised"
    for phone, label in missed:
        yield f"  missed: {phone.label} at {window.start + phone.start:.2f} s, recognised as {label}"


def agreement(window: Window, said: Sequence[Phone]) -> Figures:
    """Figures of a window compared with the phones of a transcript."""
    tally = Tally()
    tally.add(window.posteriors.argmax(1), labels(said, row_times(len(window.posteriors))))
    return tally.figures()


def figures_table(evaluation: Evaluation) -> Table:
    """The figures of each source, and of all."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(evaluation.by_source) > 1)
    total = _cells(evaluation.total.figures())
    table.add_column("source", "all")
    for name, footer in zip(("minutes", "phones", "visemes", "P B M", "silence", "RTF"), total, strict=True):
        table.add_column(name, footer, justify="right")
    for source, tally in sorted(evaluation.by_source.items()):
        table.add_row(source, *_cells(tally.figures()))
    return table


def confusion_table(tally: Tally) -> Table:
    """Confusions of viseme groups, said by recognised, in % of the row; the diagonal is the recall."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("said")
    for viseme in VISEMES:
        table.add_column(viseme, justify="right")
    values = shares(tally.visemes)
    for row, viseme in enumerate(VISEMES):
        cells = [Text(_percent(share), "bold" if row == column else "") for column, share in enumerate(values[row])]
        table.add_row(viseme, *cells)
    return table


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f}" if share >= 0.005 else "·"


def _cells(figures: Figures) -> list[str]:
    parts = (figures.phone_speech, figures.viseme_speech, figures.recall["PBM"], figures.silence)
    return [f"{figures.minutes:.1f}", *map(_share, parts), "–" if figures.rtf is None else f"{figures.rtf:.4f}"]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _heard_rows(window: Window, phone: Phone) -> NDArray[np.int64]:
    """Recognised phones at the steps of ``phone``, at least one."""
    first = min(round(phone.start * STEPS_PER_SECOND), len(window.posteriors) - 1)
    last = max(round(phone.end * STEPS_PER_SECOND), first + 1)
    heard: NDArray[np.int64] = window.posteriors[first:last].argmax(1)
    return heard


def _heard_instead(window: Window, said: Sequence[Phone]) -> list[str | None]:
    """None if any step of a phone is recognised in its viseme group, otherwise the most frequent recognised phone."""
    instead: list[str | None] = []
    for phone in said:
        rows = _heard_rows(window, phone)
        found = any(VISEME_OF[PHONES[row]] == VISEME_OF[phone.label] for row in rows)
        instead.append(None if found else PHONES[int(np.bincount(rows).argmax())])
    return instead


def _colours(window: Window, said: Sequence[Phone]) -> list[str]:
    """The colour of each phone that was said."""
    colours = []
    for phone in said:
        rows = _heard_rows(window, phone)
        groups = [VISEME_OF[PHONES[row]] == VISEME_OF[phone.label] for row in rows]
        right = np.mean(rows == PHONE_INDEX[phone.label]) >= 0.5
        colours.append("green" if right else "yellow" if np.mean(groups) >= 0.5 else "red")
    return colours
