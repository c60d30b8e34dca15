"""A comparison in the terminal, as CSV, and as a page with a plot for each measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table as Grid
from rich.text import Text as Line

from vast_core.files import write_text
from vast_core.report import (
    COLOURS,
    INK,
    SOFT,
    Block,
    Cell,
    Figure,
    Section,
    Table,
    Text,
    drawing,
    readable,
    to_svg,
    write_report,
)

from .compare import FEWEST, Comparison, Difference, MeasureComparison, System
from .figures import title_of
from .tables import SHORT, as_csv

STYLES = {"better": "bold green", "worse": "red", "different": "bold"}
MARKS = {"better": "▲ better", "worse": "▼ worse", "different": "◆ different", "no evidence": "·", "not tested": "–"}

COLUMNS = ("difference", "95 % interval", "p (Holm)", "verdict")
"""Columns of a table, after the measure."""


def print_comparison(comparison: Comparison) -> Group:
    """A table for each system, the measures not compared, and a note on how to read them."""
    grids = []
    for system in comparison.others:
        title = f"{system.name} against {comparison.systems[0].name} · {_protocol(comparison)}"
        grid = Grid(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        grid.add_column("measure", overflow="fold", no_wrap=True)
        for column in COLUMNS[:-1]:
            grid.add_column(column, justify="right")
        grid.add_column(COLUMNS[-1], no_wrap=True)
        for measure, own in _of(system, comparison):
            *cells, verdict = written(own, measure)
            grid.add_row(measure.name, *cells, Line(verdict, STYLES.get(verdict, "")))
        grids.append(grid)
    without = [Line(f"{name}: not compared, because {why}", "yellow") for name, why in comparison.not_compared.items()]
    return Group(*grids, *without, *map(Line, comparison.notes), Line(reading(comparison)))


def written(own: Difference, measure: MeasureComparison) -> list[str]:
    """The cells of :data:`COLUMNS`."""
    bounds = "" if own.low is None or own.high is None else f"{readable(own.low)} to {readable(own.high)}"
    p = "" if own.adjusted is None else "<0.001" if own.adjusted < 0.001 else f"{own.adjusted:.3f}"
    sign = "+" if own.difference > 0 else ""
    away = f"{sign}{readable(own.difference)} {measure.known.unit}".rstrip()
    return [away, bounds, p, own.verdict]


def reading(comparison: Comparison) -> str:
    """A note on how to read the tables, and their limits."""
    drawn = {own.unit for measure in comparison.measures for own in measure.differences}
    over = " or ".join(sorted(drawn)) if drawn else "clips"
    near_zero = any(measure.known.better == "closer to 0" for measure in comparison.measures)
    untested = any(own.verdict == "not tested" for measure in comparison.measures for own in measure.differences)
    return (
        f"Means over common clips, and paired differences from {comparison.systems[0].name}, with 95 % "
        f"bootstrap intervals over {over}; sign-flip test, Holm's correction over the systems of a measure (not over "
        "measures: of twenty without a true difference, one will seem to differ). 'no evidence': the difference may be "
        "chance, and there is no winner."
        + f" 'not tested': fewer than {FEWEST} {over}." * untested
        + " Where closer to 0 is better, distances from 0 are compared." * near_zero
        + " The results apply to these outputs on similar clips, not to the methods: another training of the "
        "same method gives other outputs, and only several seeds show how different they are (`vast ablate`)."
    )


def write_csv(folder: Path, comparison: Comparison) -> Path:
    """``compare.csv``, a row per measure and system; returns its path."""
    head = (
        "measure,unit,better,first,system,clips,first_mean,mean,difference,low,high,resampled,units,p,p_holm,verdict,"
        "protocol,digest"
    )
    write_text(folder / "compare.csv", as_csv([head.split(","), *_lines(comparison)]))
    return folder / "compare.csv"


def write_page(folder: Path, comparison: Comparison) -> Path:
    """Write ``compare.html``, and return its path.

    Raises :class:`vast_core.errors.StorageError` if it cannot be written.
    """
    path = folder / "compare.html"
    write_report(
        path,
        title=f"Comparison with {comparison.systems[0].name}",
        subtitle=f"of {', '.join(own.name for own in comparison.others)} · {_protocol(comparison)}",
        sections=[
            Section("Overview", list(_glance(comparison))),
            Section("Differences", list(_differences(comparison))),
            Section("By measure", list(_forests(comparison))),
            Section("What was compared", list(_compared(comparison))),
        ],
    )
    return path


def plot_forest(measure: MeasureComparison, first: str) -> bytes:
    """Each system's difference from the first with its interval, filled if there is evidence; dots are clips."""
    rows = measure.differences
    with drawing(height=0.8 + 0.42 * len(rows), grid=False) as (figure, (axis,)):
        for place, own in enumerate(rows):
            evident = own.verdict in ("better", "worse", "different")
            colour = {"better": COLOURS[2], "worse": COLOURS[4]}.get(
                own.verdict, COLOURS[0] if evident else COLOURS[-1]
            )
            clips = list(own.by_clip.values())
            axis.plot(clips, [place + 0.26] * len(clips), ".", color=SOFT, markersize=3.5, alpha=0.7)
            if own.low is not None and own.high is not None:
                axis.plot([own.low, own.high], [place, place], color=colour, linewidth=1.8, solid_capstyle="round")
            fill = colour if evident else "none"
            axis.plot([own.difference], [place], "o", color=colour, markerfacecolor=fill, markersize=6)
        axis.axvline(0, color=SOFT, linewidth=0.9, zorder=0)
        axis.set_yticks(range(len(rows)), [shortened(own.system) for own in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0, labelcolor=INK)
        axis.locator_params(axis="x", nbins=5)
        axis.margins(x=0.08)
        axis.set_xlabel(f"difference from {shortened(first)}")
        figure.suptitle(title_of(measure.name, measure.known.better, measure.known.unit), x=0.01, ha="left")
        return to_svg(figure)


def shortened(name: str, letters: int = 24) -> str:
    """A system's name without its beginning, because paths differ at their ends."""
    return name if len(name) <= letters else f"…{name[-letters + 1 :]}"


def _of(system: System, comparison: Comparison) -> Iterator[tuple[MeasureComparison, Difference]]:
    """A system's differences, measure by measure."""
    for measure in comparison.measures:
        yield from ((measure, own) for own in measure.differences if own.system == system.name)


def _protocol(comparison: Comparison) -> str:
    return f"protocol {comparison.protocol} {comparison.digest[:SHORT]}"


def _glance(comparison: Comparison) -> Iterator[Block]:
    yield Text(reading(comparison))
    rows: list[list[Cell]] = []
    for measure in comparison.measures:
        found = {own.system: MARKS[own.verdict] for own in measure.differences}
        rows.append([measure.name, *(found.get(own.name, "not measured") for own in comparison.others)])
    columns = ["measure", *(own.name for own in comparison.others)]
    yield Table(columns, rows, f"Compared with {comparison.systems[0].name}; a dot means no evidence of a difference")


def _differences(comparison: Comparison) -> Iterator[Block]:
    first = comparison.systems[0].name
    for system in comparison.others:
        rows: list[list[Cell]] = []
        for measure, own in _of(system, comparison):
            cells = [cell.replace(" ", "\N{NO-BREAK SPACE}") or None for cell in written(own, measure)]
            rows.append([measure.name, *cells, readable(own.first_mean), readable(own.mean), len(own.by_clip)])
        columns = ["measure", *COLUMNS, shortened(first), shortened(system.name), "clips"]
        yield Table(columns, rows, f"{system.name} against {first}, {_protocol(comparison)}")


def _forests(comparison: Comparison) -> Iterator[Block]:
    yield Text("The ring is the mean difference with its 95 % interval, filled if there is evidence; dots are clips.")
    for measure in comparison.measures:
        plot = plot_forest(measure, comparison.systems[0].name)
        yield Figure(f"{measure.name}, {_protocol(comparison)}", plot)


def _compared(comparison: Comparison) -> Iterator[Block]:
    rows: Sequence[Sequence[Cell]] = [[own.name, own.clips, own.folder] for own in comparison.systems]
    yield Table(["system", "clips", "evaluation in"], rows)
    yield Text("\n\n".join([f"{note}." for note in comparison.notes]))
    yield Text(f"Protocol {comparison.protocol}, digest {comparison.digest}.")
    if comparison.not_compared:
        yield Table(["measure", "not compared, because"], list(map(list, comparison.not_compared.items())))


def _lines(comparison: Comparison) -> Iterator[list[object]]:
    for measure in comparison.measures:
        about = [measure.name, measure.known.unit, measure.known.better, comparison.systems[0].name]
        for own in measure.differences:
            means = [own.first_mean, own.mean, own.difference, own.low, own.high]
            tested = [own.unit, own.units, own.p, own.adjusted, own.verdict]
            signed = [comparison.protocol, comparison.digest]
            yield [*about, own.system, len(own.by_clip), *means, *tested, *signed]
