"""Stage ``audio_comparison``: the recipe with several audio components, everything else the same, over several seeds.

Each is prepared, trained and evaluated by the core's own stages; this one gathers their figures on held-out clips.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import numpy as np
from rich.table import Table as Grid

from vast_core.errors import InputError
from vast_core.plots import readable
from vast_core.report import Section, Table, Text
from vast_core.run import Run, component_key
from vast_core.stages import Context

from .config import AudioComparisonStage
from .trials import audio_uses, mean_and_spread, trial

COUNTERFACTUAL = "lips_from_counterfactual"
CORRELATION = "lip_opening_correlation"
EXTRA = {
    COUNTERFACTUAL: {"better": "lower", "unit": "mm"},
    CORRELATION: {"better": "higher", "unit": ""},
}
"""Figures of the evaluation that are not those of a metric: the distance of the lips from the counterfactual truth in
styles never trained on, where the corpus knows it, and the correlation of the lips' opening."""


def inputs(context: Context) -> dict[str, Any]:
    """What the comparison depends on."""
    uses = audio_uses(context.recipe, context.run.registry, context.options(AudioComparisonStage).audio)
    return {
        "audio": [[component_key(use.component), use.config] for use in uses],
        "evaluation": context.key("evaluate"),
    }


@attrs.frozen
class Trial:
    """What one training led to on held-out clips."""

    whole: Mapping[str, float]
    """Means over the clips, by measure."""
    clips: Mapping[str, Mapping[str, float]]
    """Measures of each clip, as far as they are measured clip by clip."""

    @classmethod
    def read(cls, evaluation: Mapping[str, Any]) -> Self:
        """From ``evaluation.json``; raises :class:`InputError` where no clip was held out."""
        rows = evaluation["held_out"]["clips"]
        if not rows:
            raise InputError("no held-out clip has usable sound; raise stages.prepare.held_out")
        clips = {row["clip"]: {**row["measures"], CORRELATION: row["lip_opening_correlation"]} for row in rows}
        whole = {name: float(np.mean([own[name] for own in clips.values()])) for name in clips[rows[0]["clip"]]}
        if "style_transfer" in evaluation:
            whole[COUNTERFACTUAL] = evaluation["style_transfer"]["lips"]["ours"]
        return cls(whole, clips)


def run(context: Context) -> list[Path]:
    """Train and evaluate with each audio component and seed, print, and keep the figures."""
    options = context.options(AudioComparisonStage)
    uses = audio_uses(context.recipe, context.run.registry, options.audio)
    trials: dict[str, list[Trial]] = {use.name: [] for use in uses}
    directions: dict[str, dict[str, str]] = dict(EXTRA)
    for seed in options.seeds:
        for use in uses:
            done = trial(context, use, seed, ("prepare", "style", "evaluate"))
            evaluation = json.loads((done.run.path / "evaluation.json").read_text(encoding="utf-8"))
            trials[use.name].append(Trial.read(evaluation))
            directions |= evaluation["measures"]
    figures = compare(trials, directions)
    _print(context, figures)
    return [context.run.write_figures("audio_comparison", figures)]


def compare(trials: Mapping[str, Sequence[Trial]], directions: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Mean and spread over seeds of every measure, and on how many clips the first audio component is better."""
    first, *others = trials
    measures = {}
    for name in trials[first][0].whole:
        better = directions[name]["better"]
        audio = {}
        for own, seeds in trials.items():
            values = [one.whole[name] for one in seeds]
            mean, spread = mean_and_spread(values)
            audio[own] = {"mean": mean, "spread": spread, "seeds": values}
        measures[name] = {"better": better, "unit": directions[name]["unit"], "audio": audio}
        ours = _by_clip(trials[first], name)
        measures[name]["first_better_on"] = {
            other: [sum(_is_better(better, ours[clip], value) for clip, value in theirs.items()), len(theirs)]
            for other in others
            if (theirs := {clip: value for clip, value in _by_clip(trials[other], name).items() if clip in ours})
        }
    return {"measure": "mean over held-out clips; mean and standard deviation over seeds", "measures": measures}


def _by_clip(seeds: Sequence[Trial], name: str) -> dict[str, float]:
    """A measure's mean over seeds, of each clip; empty where it is not measured clip by clip."""
    clips = seeds[0].clips
    return {clip: float(np.mean([one.clips[clip][name] for one in seeds])) for clip in clips if name in clips[clip]}


def _is_better(direction: str, ours: float, theirs: float) -> bool:
    if direction == "closer to 0":
        return abs(ours) < abs(theirs)
    return ours > theirs if direction == "higher" else ours < theirs


def _rows(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table's rows: measure, which way is better, a cell for each component, and on how many clips it is better."""
    for name, row in figures["measures"].items():
        cells = [f"{readable(own['mean'])} ± {readable(own['spread'])}" for own in row["audio"].values()]
        won = [f"{better} of {clips}" for better, clips in row["first_better_on"].values()]
        unit = f", {row['unit']}" if row["unit"] else ""
        yield [name + unit, row["better"], *cells, ", ".join(won) or "-"]


def _columns(figures: Mapping[str, Any]) -> list[str]:
    components = list(next(iter(figures["measures"].values()))["audio"])
    return ["measure", "better", *components, f"clips on which {components[0]} is better"]


def _print(context: Context, figures: Mapping[str, Any]) -> None:
    grid = Grid(*_columns(figures), title=figures["measure"], title_justify="left")
    for row in _rows(figures):
        grid.add_row(*row)
    context.console.print(grid)


def report(run: Run) -> Iterator[Section]:
    """The stage's part of the report."""
    figures = run.figures("audio_comparison")
    yield Section(
        "Audio components compared", [Text(figures["measure"] + "."), Table(_columns(figures), list(_rows(figures)))]
    )
