"""Measures in a run's ``evaluation.json``, of each held-out clip and of a plugin's stages, in one form.

From the figures of a plugin's stage (:meth:`vast_core.runs.Run.write_figures`), every top-level number counts, as
``<stage>.<name>``. Two entries may add information: ``measures``, ``{name: {better: ..., unit: ...}}``, and ``clips``,
``{clip: {name: value}}``, with any kind of clip.

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

from .results import Better, MeasureKind

OF_THE_EVALUATION: Mapping[str, MeasureKind] = {
    "lip_opening_correlation": MeasureKind(better="higher"),
    "style_retrieval": MeasureKind(better="higher"),
    "face_from_counterfactual": MeasureKind(better="lower", unit="mm"),
    "lips_from_counterfactual": MeasureKind(better="lower", unit="mm"),
    "negative_bound": MeasureKind(better="lower", unit="nats a frame"),
    "reconstruction": MeasureKind(better="lower", unit="nats a frame"),
    "kl_before_flow": MeasureKind(better="neither", unit="nats"),
    "kl_before_flow_sampled": MeasureKind(better="neither", unit="nats"),
    "kl_after_flow": MeasureKind(better="neither", unit="nats"),
}
"""Figures of the stage ``evaluate`` that belong to no metric: the bound on held-out clips, the correlation of
lip opening, style retrieval and, in held-out styles, the distance from the counterfactual truth if it is known."""


@attrs.frozen
class Measured:
    """All measurements of a run, by clip."""

    clips: Mapping[str, Mapping[str, float]]
    """Measures by clip."""
    whole: Mapping[str, float]
    """Measures that belong to no clip."""
    measures: Mapping[str, MeasureKind]
    """Unit and direction of each measure."""
    left_out: tuple[str, ...] = ()
    """Measures that are not finite for at least one clip; their mean would be over different clips."""

    @property
    def means(self) -> dict[str, float]:
        """Means over the clips that have the measure."""
        found: dict[str, list[float]] = {}
        for own in self.clips.values():
            for name, value in own.items():
                found.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in found.items()}


def read_measures(run: Path) -> Measured:
    """The measurements of a run; raises :class:`InputError` if there are none."""
    path = run / "evaluation.json"
    if not path.is_file():
        raise InputError(f"{path}: does not exist; run the ablation again")
    evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    clips: dict[str, dict[str, float]] = {}
    for name, own in _rows(evaluation):
        clips.setdefault(name, {}).update({key: float(value) for key, value in own.items()})
    known = {**_known(evaluation, str(path)), **OF_THE_EVALUATION}
    whole: dict[str, float] = {}
    if "style_retrieval" in evaluation:
        whole["style_retrieval"] = float(evaluation["style_retrieval"]["value"])
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
        raise InputError(f"{path}: no measure is finite ({', '.join(left_out)})")
    if not found:
        raise InputError(f"{path}: nothing was measured; check that clips are held out (stages.prepare.held_out)")
    return Measured(clips, whole, {name: known.get(name, MeasureKind(better="neither")) for name in found}, left_out)


def _numbers(stage: str, figures: Mapping[str, Any]) -> dict[str, float]:
    return {f"{stage}.{name}": float(value) for name, value in figures.items() if type(value) in (int, float)}


def _without(values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in names}


def _known(figures: Mapping[str, Any], where: str) -> dict[str, MeasureKind]:
    try:
        return cattrs.structure(figures.get("measures", {}), dict[str, MeasureKind])
    except (cattrs.BaseValidationError, AttributeError, TypeError) as error:
        ways = ", ".join(get_args(Better))
        raise InputError(
            f"{where}: `measures` must be {{name: {{better: ..., unit: ...}}}}, better one of {ways}"
        ) from error


def _rows(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Figures of a clip, or of a clip in a style."""
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
