"""Stage ``densities``: flows of several lengths fitted to four densities in the plane (Rezende & Mohamed 2015, fig. 3).

Records KL(q || p) of each fit, and a picture of all fits beside the true densities.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table as Grid

from vast_core.files import replacing
from vast_core.report import Figure, Section, Table, Text
from vast_core.runs import Run, component_key
from vast_core.stages import StageContext

from .config import DensitiesStage
from .densities import EDGE, ENERGIES, Approximation, Energy, divergence, fit, grid
from .named_flow import named_flow

MEASURE = "KL(q || p) in nats, by Monte Carlo with 100,000 samples, followed by its standard error"

PICTURE = "densities.png"

PIXELS = 100


def inputs(context: StageContext) -> dict[str, Any]:
    """Everything that the fits depend on."""
    options = context.options("densities", DensitiesStage)
    return {"flow": component_key(context.run.registry.get("flow", options.flow)), "seed": context.recipe.seed}


def run(context: StageContext) -> list[Path]:
    """Fit, draw, print, and write the figures."""
    options, seed = context.options("densities", DensitiesStage), context.recipe.seed
    rows: list[list[NDArray[np.float64]]] = []
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in options.densities:
        energy = ENERGIES[name]
        pictures, found[name] = [_true(energy)], {}
        for length in options.lengths:
            with context.console.status(f"{name}: {length} maps"):
                flow = named_flow(context.run.registry, options.flow, length, style=2, context=1, seed=seed)
                approximation = fit(
                    flow,
                    energy,
                    steps=options.steps,
                    batch=options.batch,
                    learning_rate=options.learning_rate,
                    seed=seed,
                )
            kl = divergence(approximation, energy, seed=seed)
            found[name][str(length)] = {"kl": kl.mean, "standard_error": kl.standard_error}
            pictures.append(_drawn(approximation, seed))
        rows.append(pictures)
    figures = {"measure": MEASURE, "flow": options.flow, "densities": found}
    path = context.run.samples / PICTURE
    picture = _picture(list(options.densities), ["true", *(f"K = {k}" for k in options.lengths)], rows)
    with replacing(path) as partial:
        partial.write_bytes(picture)
    _print(context, figures)
    return [path, context.run.write_figures("densities", figures)]


def report(run: Run) -> Iterator[Section]:
    """The stage's part of the report."""
    figures = run.figures("densities")
    caption = (
        f"{figures['flow']} flows of several lengths beside the true densities, after Rezende & Mohamed 2015, figure 3"
    )
    yield Section(
        "Densities in the plane",
        [
            Text(figures["measure"] + "."),
            Table(*_table(figures)),
            Figure(caption, (run.samples / PICTURE).read_bytes()),
        ],
    )


def _true(energy: Energy) -> NDArray[np.float64]:
    z, _ = grid(PIXELS)
    density: NDArray[np.float64] = torch.exp(-energy(z)).view(PIXELS, PIXELS).numpy()
    return density


@torch.no_grad()
def _drawn(approximation: Approximation, seed: int) -> NDArray[np.float64]:
    """Density of 200,000 samples in the pixels of a picture."""
    z, _ = approximation.sample(200_000, torch.Generator().manual_seed(seed))
    edges = np.linspace(-EDGE, EDGE, PIXELS + 1)
    density: NDArray[np.float64]
    density, _, _ = np.histogram2d(z[:, 1].numpy(), z[:, 0].numpy(), bins=(edges, edges))
    return density


def _picture(rows: list[str], columns: list[str], pictures: list[list[NDArray[np.float64]]]) -> bytes:
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(1.6 * len(columns) + 0.3, 1.6 * len(rows) + 0.2), layout="constrained", dpi=110)
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    for (row, column), panel in np.ndenumerate(panels):
        panel.imshow(pictures[row][column], origin="lower", cmap="Blues")
        panel.set_xticks([])
        panel.set_yticks([])
        if row == 0:
            panel.set_title(columns[column], fontsize=9)
        if column == 0:
            panel.set_ylabel(rows[row], fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _table(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    lengths = list(next(iter(figures["densities"].values())))
    rows = [
        [name, *(f"{own[length]['kl']:.3f} ± {own[length]['standard_error']:.3f}" for length in lengths)]
        for name, own in figures["densities"].items()
    ]
    return ["density", *(f"K = {length}" for length in lengths)], rows


def _print(context: StageContext, figures: Mapping[str, Any]) -> None:
    columns, rows = _table(figures)
    table = Grid(*columns, title=f"{figures['flow']}: {MEASURE}", title_justify="left")
    for row in rows:
        table.add_row(*row)
    context.console.print(table)
