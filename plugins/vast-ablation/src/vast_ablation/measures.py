"""What a run's ``evaluation.json`` says, of each held-out clip and of a plugin's stages, brought into one form.

Of the figures of a plugin's stage (:meth:`vast_core.runs.Run.write_figures`), every number at the top counts, as
``<stage>.<name>``. Two entries may tell more: ``measures``, ``{name: {better: ..., unit: ...}}``, what is known of
them, and ``clips``, ``{clip: {name: value}}``, whatever a clip is there.

Imports no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import attrs
import cattrs

from vast_core.errors import InputError

from .results import Better, Measure

OF_THE_EVALUATION: Mapping[str, Measure] = {
    "lip_opening_correlation": Measure(better="higher"),
    "face_from_counterfactual": Measure(better="lower", unit="mm"),
    "lips_from_counterfactual": Measure(better="lower", unit="mm"),
    "negative_bound": Measure(better="lower", unit="nats a frame"),
    "reconstruction": Measure(better="lower", unit="nats a frame"),
    "kl_before_flow": Measure(better="neither", unit="nats"),
    "kl_before_flow_sampled": Measure(better="neither", unit="nats"),
    "kl_after_flow": Measure(better="neither", unit="nats"),
}
"""Figures that are those of no metric: the bound on held-out clips (:mod:`vast_core.stages.evaluate`), the correlation
of the lips' opening and, in styles never trained on, the distance from the counterfactual truth where it is known."""


@attrs.frozen
class Measured:
    """All that a run has measured, clip by clip."""

    clips: Mapping[str, Mapping[str, float]]
    """Measures by clip."""
    whole: Mapping[str, float]
    """Measures that are of no clip."""
    measures: Mapping[str, Measure]
    """What is known of each."""
    left_out: tuple[str, ...] = ()
    """Names of what is no finite number, of some clip at least: a mean over the other clips would be of other clips."""

    @property
    def means(self) -> dict[str, float]:
        """Over the clips that have the measure."""
        found: dict[str, list[float]] = {}
        for own in self.clips.values():
            for name, value in own.items():
                found.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in found.items()}


def read_measures(run: Path) -> Measured:
    """What a run has measured; raises :class:`InputError` where that is nothing."""
    path = run / "evaluation.json"
    if not path.is_file():
        raise InputError(f"{path}: is gone; run again")
    evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    clips: dict[str, dict[str, float]] = {}
    for name, own in _rows(evaluation):
        clips.setdefault(name, {}).update({key: float(value) for key, value in own.items()})
    known = {**_known(evaluation, str(path)), **OF_THE_EVALUATION}
    whole: dict[str, float] = {}
    for stage, figures in evaluation.get("stages", {}).items():
        known |= {f"{stage}.{name}": measure for name, measure in _known(figures, f"{path}, stage {stage}").items()}
        whole |= _numbers(stage, figures)
        listed = figures.get("clips")
        for name, own in listed.items() if isinstance(listed, dict) else ():
            clips.setdefault(name, {}).update(_numbers(stage, own) if isinstance(own, dict) else {})
    everything = [pair for own in (*clips.values(), whole) for pair in own.items()]
    left_out = tuple(dict.fromkeys(name for name, value in everything if not math.isfinite(value)))
    clips, whole = {name: _without(own, left_out) for name, own in clips.items()}, _without(whole, left_out)
    clips = {name: own for name, own in clips.items() if own}
    found = list(dict.fromkeys([name for own in clips.values() for name in own] + list(whole)))
    if not found and left_out:
        raise InputError(f"{path}: no measure is a finite number ({', '.join(left_out)})")
    if not found:
        raise InputError(f"{path}: nothing was measured; is any clip held out (stages.prepare.held_out)?")
    return Measured(clips, whole, {name: known.get(name, Measure(better="neither")) for name in found}, left_out)


def _numbers(stage: str, figures: Mapping[str, Any]) -> dict[str, float]:
    return {f"{stage}.{name}": float(value) for name, value in figures.items() if type(value) in (int, float)}


def _without(values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in names}


def _known(figures: Mapping[str, Any], where: str) -> dict[str, Measure]:
    try:
        return cattrs.structure(figures.get("measures", {}), dict[str, Measure])
    except (cattrs.BaseValidationError, AttributeError, TypeError) as error:
        ways = ", ".join(get_args(Better))
        raise InputError(
            f"{where}: `measures` must be {{name: {{better: ..., unit: ...}}}}, better one of {ways}"
        ) from error


def _rows(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Figures of a clip, or of a clip told in a style."""
    for row in evaluation.get("held_out", {}).get("clips", []):
        yield (
            row["clip"],
            {**row["measures"], "lip_opening_correlation": row["lip_opening_correlation"], **row["bound"]},
        )
    for row in evaluation.get("style_transfer", {}).get("pairs", []):
        distances = {"face_from_counterfactual": row["ours"], "lips_from_counterfactual": row["lips"]["ours"]}
        yield f"{row['target']} in {row['style']}", distances
    for row in evaluation.get("renderer", {}).get("clips", []):
        yield row["clip"], row["ours"]
