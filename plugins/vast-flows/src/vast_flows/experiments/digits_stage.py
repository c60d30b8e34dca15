"""Stage ``digits``: the bound of an autoencoder of handwritten digits with a flow posterior.

Trains with the recipe's seed and records the bound of every held-out digit, so that `vast ablate` can compare flows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from vast_core.report import Section, Table, Text
from vast_core.runs import Run, component_key
from vast_core.stages import StageContext

from .config import DigitsStage
from .digits import DigitsModel, digits, measure, train
from .named_flow import named_flow

MEASURES = {
    "bound": {"better": "lower", "unit": "nats"},
    "reconstruction": {"better": "lower", "unit": "nats"},
    "kl": {"better": "neither", "unit": "nats"},
    "importance": {"better": "lower", "unit": "nats"},
}
WORDS = {
    "bound": "negative bound",
    "reconstruction": "reconstruction term",
    "kl": "KL term",
    "importance": "negative importance-weighted bound",
}


def inputs(context: StageContext) -> dict[str, Any]:
    """Everything that the figures depend on."""
    flow = context.run.registry.get("flow", context.options("digits", DigitsStage).flow)
    return {"flow": component_key(flow), "seed": context.recipe.seed}


def run(context: StageContext) -> list[Path]:
    """Train, measure, print, and write the figures."""
    options, seed = context.options("digits", DigitsStage), context.recipe.seed
    training, held_out = digits()
    flow = named_flow(
        context.run.registry, options.flow, options.flow_steps, style=options.code, context=options.hidden, seed=seed
    )
    torch.manual_seed(seed)  # encoder and decoder have the same initial weights, whatever the flow
    model = DigitsModel(flow, options.code, options.hidden)
    with context.console.status(f"autoencoder of digits with flow {options.flow}"):
        train(
            model,
            training,
            epochs=options.epochs,
            batch=options.batch,
            learning_rate=options.learning_rate,
            seed=seed,
        )
        rows = measure(model, held_out, samples=options.samples, seed=seed).rows()
    means = {name: sum(row[name] for row in rows) / len(rows) for name in MEASURES}
    figures = {
        "flow": options.flow,
        "measures": MEASURES,
        **means,
        "clips": {f"digit {number}": row for number, row in enumerate(rows)},
    }
    told = ", ".join(f"{WORDS[name]} {mean:.2f}" for name, mean in means.items())
    context.console.print(f"flow {options.flow}, {len(rows)} held-out digits, nats per digit: {told}")
    return [context.run.write_figures("digits", figures)]


def report(run: Run) -> Iterator[Section]:
    """The stage's part of the report."""
    figures = run.figures("digits")
    yield Section(
        "Digits",
        [
            Text(f"Means over {len(figures['clips'])} held-out digits with flow {figures['flow']}, in nats per digit."),
            Table(["figure", "nats"], [[words, figures[name]] for name, words in WORDS.items()]),
        ],
    )
