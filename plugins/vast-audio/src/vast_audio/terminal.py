"""Phone posteriors and figures as text: for terminals of 80 columns, with or without colours, and for pipes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from vast_core.interfaces import SAMPLE_RATE, Phone
from vast_core.phones import PHONE_INDEX, PHONES, SILENCE, VISEME_OF, VISEMES

from .evaluation import Evaluation
from .figures import STEPS_PER_SECOND, Figures, Tally
from .labelled_speech import labels
from .pictures import shares
from .recognition import Window, decided, row_times

_COLUMN = 0.04
"""Seconds in one column, so that a phone of 80 ms has room for its two letters."""
_MARGIN = 7
"""Columns for the names of rows."""
_SHADES = " ░▒▓█"
_BARS = " ▁▂▃▄▅▆▇█"
_QUIETEST = -70.0
"""Level in dB of full scale below which sound is not drawn; bars are 5 dB high, up to the maximum of the window."""
_GROUP = np.array([[VISEME_OF[phone] == viseme for viseme in VISEMES] for phone in PHONES], np.float32)


def window_lines(window: Window, width: int, said: Sequence[Phone] = ()) -> Iterator[Text]:
    """``window`` in strips of ``width`` columns: time, sound, phones said and recognised, posteriors of viseme groups.

    ``said`` are the phones of a transcript, in seconds after the window's start: green if at least half of a phone is
    recognised correctly, yellow if in the correct viseme group, otherwise red.
    """
    total = math.ceil(window.seconds / _COLUMN - 1e-6)
    columns = _strip(total, width - _MARGIN)
    groups = _by_column(window.posteriors @ _GROUP, total)
    levels = _levels(window.wave, total)
    heard = [phone for phone in decided(window.posteriors) if phone.end - phone.start >= _COLUMN]
    for first in range(0, total, columns):
        last = min(first + columns, total)
        yield _row("", _axis(window.start, first, last))
        yield _row("sound", Text(levels[first:last], "dim"))
        if said:
            yield from _names("said", said, first, last, _verdicts(window, said))
        yield from _names("heard", heard, first, last, ["bold"] * len(heard))
        for number, viseme in [*enumerate(VISEMES)][::-1]:
            yield _row(viseme, _shades(groups[first:last], number))
        yield Text()


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


def _strip(total: int, room: int) -> int:
    """Columns per strip: all if they fit, otherwise a multiple of 10 that makes strips about equal."""
    if total <= room:
        return total
    strips = math.ceil(total / max(room // 10 * 10, 10))
    return math.ceil(total / strips / 10) * 10


def _row(name: str, content: Text) -> Text:
    return Text.assemble((f"{name:>{_MARGIN - 1}} ", "dim"), content)


def _axis(start: float, first: int, last: int) -> Text:
    """A mark with the time in seconds every 10 columns."""
    line = [" "] * (last - first)
    for column in range(first, last):
        if column % 10 == 0:
            mark = f"╷{start + column * _COLUMN:.1f}"
            if column - first + len(mark) <= len(line):
                line[column - first : column - first + len(mark)] = mark
    return Text("".join(line), "dim")


def _by_column(rows: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Mean of the rows in each column."""
    number = np.minimum((row_times(len(rows)) / _COLUMN + 1e-6).astype(int), columns - 1)
    sums = np.zeros((columns, rows.shape[1]), np.float32)
    np.add.at(sums, number, rows)
    counts = np.maximum(np.bincount(number, minlength=columns), 1)
    return sums / counts.astype(np.float32)[:, None]


def _levels(wave: NDArray[np.float32], columns: int) -> str:
    """A bar for the level of each column."""
    size = round(_COLUMN * SAMPLE_RATE)
    blocks = np.resize(np.pad(wave, (0, max(columns * size - len(wave), 0))), (columns, size))
    decibels = 10 * np.log10(np.square(blocks, dtype=np.float64).mean(1) + 1e-12)
    top = len(_BARS) - 1
    bars = np.ceil(top + (decibels - decibels.max()) / 5).clip(0, top).astype(int)
    return "".join(_BARS[bar if level > _QUIETEST else 0] for bar, level in zip(bars, decibels, strict=True))


def _names(name: str, phones: Sequence[Phone], first: int, last: int, styles: Sequence[str]) -> Iterator[Text]:
    """Names on two alternating lines, each where its phone begins; names without room are left out."""
    lines = [Text(" " * (last - first)) for _ in range(2)]
    free = [first, first]
    turn = 0
    for phone, style in zip(phones, styles, strict=True):
        column = round(phone.start / _COLUMN)
        if phone.label == SILENCE or not first <= column < last:
            continue
        place = next((line for line in (turn, 1 - turn) if free[line] <= column), None)
        if place is None:
            continue
        text = phone.label[: last - column]
        begin = column - first
        lines[place] = Text.assemble(lines[place][:begin], (text, style), lines[place][begin + len(text) :])
        free[place] = column + len(text) + 1
        turn = 1 - place
    yield _row(name, lines[0])
    yield _row("", lines[1])


def _shades(groups: NDArray[np.float32], number: int) -> Text:
    """Probability of a group: one shade per column, coloured where the group is the most probable."""
    line = Text()
    for row in groups:
        shade = _SHADES[min(int(row[number] * 5 + 0.5), 4)]
        line.append(shade, "cyan" if row.argmax() == number else "dim")
    return line


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


def _verdicts(window: Window, said: Sequence[Phone]) -> list[str]:
    """The colour of each phone that was said."""
    colours = []
    for phone in said:
        rows = _heard_rows(window, phone)
        groups = [VISEME_OF[PHONES[row]] == VISEME_OF[phone.label] for row in rows]
        right = np.mean(rows == PHONE_INDEX[phone.label]) >= 0.5
        colours.append("green" if right else "yellow" if np.mean(groups) >= 0.5 else "red")
    return colours
