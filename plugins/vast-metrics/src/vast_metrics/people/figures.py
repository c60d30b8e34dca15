"""The figures of all people, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.bootstrap import pooled_intervals
from .acting import ROWS, Act
from .agreement import FIGURES, Match, pool

MEASURE = (
    "what the avatar does in a prompt's style beside its speaker's neutral style, the same words, against what the "
    "prompt's face does beside the neutral clip: correlation and gain (1 = as much as in the prompt) of the mean "
    "displacement of lips and upper face, share of emotions that are retrieved among the speaker's, and correlation "
    "over emotions of how much livelier the lips are (amplitude, speed)"
)
RESAMPLES, SEED = 1000, 1
"""Of the bootstrap over emotions, or over speakers if there are many."""


def figures_of(acts: Sequence[Act], left_out: Mapping[str, str], **facts: str | float) -> dict[str, Any]:
    """Everything that is written, for ``acts`` of all speakers and seeds; ``facts`` say how they were made."""
    seeds = sorted({match.group[1] for act in acts for own in act.found["ours"] for match in own})
    people = {act.person.name: act.person for act in acts}
    rows = {row: _with_intervals(_joined(acts, row)) for row in ROWS}
    figures: dict[str, Any] = {"measure": MEASURE, **rows.pop("ours")}
    figures["retrieval_chance"] = float(np.mean([1 / len(person.emotions) for person in people.values()]))
    figures["rows"] = rows
    if len(seeds) > 1:
        figures["seeds"] = {str(seed): pool(_joined(acts, "ours", seed=seed)) for seed in seeds}
    figures["by_speaker"] = {
        name: {
            **_with_intervals(_joined(acts, "ours", name)),
            "retrieval_chance": 1 / len(person.emotions),
            "rows": {row: pool(_joined(acts, row, name)) for row in rows},
            "emotions": {own[0].emotion: _emotion(own) for own in _joined(acts, "ours", name)},
            "clips": {emotion: [p.clip.name for p in own] for emotion, own in person.prompts.items()},
        }
        for name, person in people.items()
    }
    return {**figures, **facts, "left_out": dict(left_out)}


def _joined(acts: Sequence[Act], row: str, name: str | None = None, seed: int | None = None) -> list[list[Match]]:
    """The matches of each speaker's emotions, those of all seeds together."""
    parts: dict[tuple[str, str], list[Match]] = {}
    for match in (match for act in acts for own in act.found[row] for match in own):
        if name in (None, match.group[0]) and seed in (None, match.group[1]):
            parts.setdefault((match.group[0], match.emotion), []).append(match)
    return list(parts.values())


def _with_intervals(parts: Sequence[Sequence[Match]]) -> dict[str, Any]:
    speakers = [own[0].group[0] for own in parts]
    bounds = pooled_intervals(pool, parts, speakers, RESAMPLES, SEED)
    return {**pool(parts), "intervals": {name: list(bounds[name]) for name in FIGURES if name in bounds}}


def _emotion(found: Sequence[Match]) -> dict[str, Any]:
    """One emotion's figures, the mean over seeds; amplitude and speed are factors, of the prompt and of the avatar."""
    values = pool([found])
    factors = {name: np.exp(np.mean([getattr(own, name) for own in found], axis=0)) for name in ("amplitude", "speed")}
    return {
        **{name: values[name] for name in ("lips", "upper", "gain_lips", "gain_upper", "retrieval")},
        "taken_for": [own.taken_for for own in found],
        **{name: dict(zip(("prompt", "avatar"), map(float, own), strict=True)) for name, own in factors.items()},
    }
