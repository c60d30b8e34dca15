"""Whether each slider moves what it names, and how little else, if the corpus provides the truth.

A held-out sentence is spoken in a style and in the same style with one slider moved; the truth is the corpus's own
counterfactual with this factor changed. With u the movement that the slider causes and v the true one, both (T, V, 3)
and over all sentences,

    correlation = <u, v> / (|u| |v|),    gain = <u, v> / |v|^2,    elsewhere = 1 - correlation^2

where elsewhere is the share of |u|^2 that is not along v. Regressing u on the true movements of all factors tells what
else it resembles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import Clip, unposed
from vast_core.runs import PreparedClip
from vast_core.speak.sliders import Sliders
from vast_core.speak.style_model import StyleModel, decode_whole
from vast_core.stages import StageContext
from vast_core.stages.style import prompt_code

from ..config import EvaluateStage
from ..prepared import prompt_in, spread

Floats = NDArray[np.float64]

WAYS = {"low": "alone, -1", "high": "alone, +1", "prompted": "with a prompt"}
"""How sliders are moved: without a prompt, to the ends; or from an unseen prompt by 1, to the side with more room."""

STILL = 0.01
"""Root mean square of true movement, in mm, below which a factor does not show in the face (our choice)."""

RIDGE = 1e-3
"""Penalty of the regression on the true movements, relative to their mean square, because some are alike."""


def slider_effects(context: StageContext, model: StyleModel, sliders: Sliders) -> dict[str, Any] | None:
    """Correlation, gain and share elsewhere of each slider, for each of :data:`WAYS`.

    None if there are no sliders, no held-out clips with sound and factors, or no counterfactuals.
    """
    sources = {clip.name: clip for clip in context.pipeline.corpus.clips() if clip.factors} if sliders.factors else {}
    words = {name: clip.transcript for name, clip in sources.items()}
    targets = _targets(context, words)
    sums: dict[str, _Products] = {}
    for target in targets:
        source = sources[target.source]
        for way, start in _starts(context, model, target, source, sliders, words).items():
            true = _true_movement(context, source, target, sliders, start)
            if true is None:
                return None
            part = _Products(_movement(context, model, target, sliders, start), true)
            sums[way] = sums[way] + part if way in sums else part
    if not sums:
        return None
    names = list(sliders.learned)
    factors: dict[str, dict[str, Any]] = {
        name: {
            **{"low_value": own.low, "high_value": own.high, "r2": own.r2},
            **{way: found.effect(names.index(name), names) for way, found in sums.items()},
        }
        for name, own in sliders.factors.items()
    }
    return {
        "measure": "movement of the face that a slider causes, compared with the counterfactual truth: correlation, "
        "gain, and share of the squared movement elsewhere",
        "clips": [target.name for target in targets],
        "factors": factors,
        "without_slider": {name: own.r2 for name, own in sliders.learned.items() if name not in factors},
        "mean": {way: _mean([own[way] for own in factors.values()]) for way in sums},
    }


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures of :func:`slider_effects` as text, one line for each slider and way."""
    for name, own in figures["factors"].items():
        for way, words in WAYS.items():
            if way not in own:
                continue
            effect = own[way]
            if effect["correlation"] is None:
                yield f"slider {name}, {words}: does not show in the true face"
                continue
            besides = "".join(f", {other} {share:.0%}" for other, share in effect["besides"].items())
            yield (
                f"slider {name}, {words}: correlation {effect['correlation']:.2f}, gain {effect['gain']:.2f}, "
                f"elsewhere {effect['elsewhere']:.0%}{besides}"
            )


def _mean(effects: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean figures of the sliders whose factors show in the face."""
    seen = [own for own in effects if own["correlation"] is not None]
    return {key: float(np.mean([own[key] for own in seen])) for key in ("correlation", "gain", "elsewhere") if seen}


def _targets(context: StageContext, words: Mapping[str, str | None]) -> list[PreparedClip]:
    """Held-out clips with sound and factors; if there are some, those in unseen styles."""
    trained = {clip.style for clip in context.store.of("train")}
    held_out = [clip for clip in context.store.of("held_out") if clip.heard and clip.source in words]
    unseen = [clip for clip in held_out if clip.style not in trained]
    return spread(unseen or held_out, context.options("evaluate", EvaluateStage).max_slider_clips)


@attrs.frozen(kw_only=True, eq=False)
class Start:
    """A style in which a sentence is spoken, and by how much each slider is moved from there."""

    code: Tensor
    """(Z,)."""
    factors: Mapping[str, float]
    amounts: Mapping[str, float]


def _starts(
    context: StageContext,
    model: StyleModel,
    target: PreparedClip,
    source: Clip,
    sliders: Sliders,
    words: Mapping[str, str | None],
) -> dict[str, Start]:
    """The start of each of :data:`WAYS`; none for ``prompted`` if no other clip shows the target's style."""
    middle = {name: (own.low + own.high) / 2 for name, own in sliders.learned.items()}
    starts = {
        way: Start(code=sliders.origin, factors=middle, amounts=dict.fromkeys(middle, amount))
        for way, amount in (("low", -1.0), ("high", 1.0))
    }
    try:
        prompt = prompt_in(context.store, target, target.style or "", words)
    except InputError:
        return starts
    code = prompt_code(model, context.store, prompt, context.device)[0].cpu()
    room = {name: -1.0 if source.factors[name] > middle[name] else 1.0 for name in middle}
    return {**starts, "prompted": Start(code=code, factors=source.factors, amounts=room)}


def _true_movement(
    context: StageContext, source: Clip, target: PreparedClip, sliders: Sliders, start: Start
) -> Floats | None:
    """The true movement (F, T V 3) in mm from the start by each factor, if the corpus has it."""
    half = {name: (own.high - own.low) / 2 for name, own in sliders.learned.items()}
    faces = []
    for changed in ({}, *({name: start.factors[name] + a * half[name]} for name, a in start.amounts.items())):
        truth = context.pipeline.corpus.with_factors(source, {**start.factors, **changed})
        track = None if truth is None else truth.track
        if track is None:
            return None
        faces.append(unposed(track)[target.start : target.start + target.frames])
    return _from_first(faces, context)


@torch.no_grad()
def _movement(context: StageContext, model: StyleModel, target: PreparedClip, sliders: Sliders, start: Start) -> Floats:
    """The movement (F, T V 3) in mm of the spoken face from the start by each slider."""
    audio, identity = context.store.features(target, context.pipeline.audio), context.store.identities[target.speaker]
    moves = zip(start.amounts.values(), sliders.directions, strict=True)
    codes = [start.code, *(start.code + amount * direction for amount, direction in moves)]
    spoken = [decode_whole(model, audio, code[None].to(context.device)) for code in codes]
    return _from_first([context.pipeline.face.decode(expression, identity) for expression in spoken], context)


def _from_first(faces: Sequence[Tensor], context: StageContext) -> Floats:
    first, *others = (torch.as_tensor(face).double().reshape(-1) for face in faces)
    difference: Floats = (torch.stack(others) - first).cpu().numpy() * context.pipeline.face.millimetres
    return difference


class _Products:
    """Inner products of caused (u) and true (v) movements (F, N), summed over sentences."""

    def __init__(self, caused: Floats, true: Floats) -> None:
        self.uu: Floats = np.square(caused).sum(1)
        self.uv: Floats = caused @ true.T
        self.vv: Floats = true @ true.T
        self.vertices = true.shape[1] / 3

    def __add__(self, other: _Products) -> _Products:
        self.uu, self.uv, self.vv = self.uu + other.uu, self.uv + other.uv, self.vv + other.vv
        self.vertices += other.vertices
        return self

    def effect(self, row: int, names: Sequence[str]) -> dict[str, Any]:
        """Figures of one slider; ``names`` are those of the rows."""
        true, caused, along = self.vv[row, row], self.uu[row], self.uv[row, row]
        sizes = {"true_mm": float(np.sqrt(true / self.vertices)), "mm": float(np.sqrt(caused / self.vertices))}
        if sizes["true_mm"] < STILL:
            return {**sizes, "correlation": None, "gain": None, "elsewhere": None, "besides": {}}
        correlation = float(along / np.sqrt(true * caused)) if caused > 0 else 0.0
        return {
            **sizes,
            "correlation": correlation,
            "gain": float(along / true),
            "elsewhere": 1 - correlation**2,
            "besides": self._besides(row, names),
        }

    def _besides(self, row: int, names: Sequence[str]) -> dict[str, float]:
        """The factors other than its own whose true movement has 5 % or more of the squared movement, by share."""
        penalty = RIDGE * np.trace(self.vv) / len(names)
        weights = np.linalg.solve(self.vv + penalty * np.eye(len(names)), self.uv[row])
        shares = weights**2 * np.diag(self.vv) / max(self.uu[row], 1e-12)
        found = [(name, float(share)) for k, (name, share) in enumerate(zip(names, shares, strict=True)) if k != row]
        return dict(sorted((own for own in found if own[1] >= 0.05), key=lambda own: -own[1]))
