"""Stage ``evaluate``: measures the trained models on held-out clips; all figures are in ``evaluation.json``.

Three questions, each with an alternative for comparison: is the style of an unseen prompt transferred (compared with
the counterfactual truth, the zero code and a wrong prompt); do the lips follow the audio (compared with a ridge
regression on the same features); is the avatar drawn better than by repeating the nearest training frame (if the recipe
trains one). A fourth if the run has sliders: does each move what it names, and little else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vast_core.report import Section
from vast_core.runs import Run
from vast_core.speak.sliders import load_sliders
from vast_core.speak.trained import load_face, load_style
from vast_core.stages import StageContext

from .drawn_face import rendering
from .evaluate_report import sections
from .evaluation_file import write_evaluation
from .held_out import held_out
from .slider_effects import lines, slider_effects
from .style_transfer import style_transfer


def inputs(context: StageContext) -> dict[str, Any]:
    """Everything that the figures depend on."""
    recipe = context.recipe
    return {
        "style": context.key("style"),
        "renderer": context.key("renderer") if recipe.runs("renderer") else None,
        **context.component_inputs("metric"),
    }


def run(context: StageContext) -> list[Path]:
    """Measure, and write ``evaluation.json`` and the pictures beside it."""
    load_face(context.run.weights, context.pipeline.to(context.device))
    model = load_style(context.run.weights, context.pipeline)
    figures: dict[str, Any] = {"protocol": "held-out clips; see each section's `measure`"}
    with context.console.status("style transfer"):
        transfer = style_transfer(context, model)
    if transfer is not None:
        figures["style_transfer"] = transfer
    sliders = load_sliders(context.run.weights, model)
    with context.console.status("sliders"):
        effects = None if sliders is None else slider_effects(context, model, sliders)
    if effects is not None:
        figures["sliders"] = effects
        for line in lines(effects):
            context.console.print(line)
    with context.console.status("held-out clips"):
        figures |= held_out(context, model)
    if context.recipe.runs("renderer"):
        with context.console.status("renderer"):
            figures["renderer"] = rendering(context)
    if warning := figures.get("style_retrieval", {}).get("warning"):
        context.console.print(f"Warning: {warning}", style="yellow")
    path = write_evaluation(context.run, figures)
    samples = context.run.samples
    return [path, samples / "lip_opening.json", *sorted(samples.glob("renderer_*.png"))]


def report(run: Run) -> Iterator[Section]:
    """The stage's part of the report."""
    return sections(run, json.loads((run.path / "evaluation.json").read_text(encoding="utf-8")))
