"""Held-out clips, each prompted by another clip of the same style: all metrics, the bound, and the lips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from vast_core.errors import InputError, NotComputed
from vast_core.files import write_text
from vast_core.interfaces import Clip
from vast_core.media import pearson, shift_wave
from vast_core.runs import PreparedClip, Store
from vast_core.speak.style_model import StyleModel, decode_whole
from vast_core.stages import StageContext
from vast_core.stages.style import PROMPT_FRAMES, prompt_code

from ..config import EvaluateStage
from ..evaluation.bootstrap import interval
from ..evaluation.protocol import Bootstrap
from ..evaluation.videos import sound_of
from ..ignored_code import ignored_code
from ..prepared import lip_sync, performance_of, prompt_for, spread
from ..style import StylePart, StyleRetrieval
from .lip_ridge import LipRidge
from .measured_bound import measured_bound
from .scores import Scores

RETRIEVAL = StyleRetrieval()
"""Measured for every run, because it shows whether the style code is ignored."""


def held_out(context: StageContext, model: StyleModel) -> dict[str, Any]:
    """Every metric on held-out clips, prompted by a clip of the same style, and the lips compared with ridge
    regression."""
    store, pipeline, settings = context.store, context.pipeline, context.options("evaluate", EvaluateStage)
    chosen, left_out = _chosen(store, settings.max_clips)
    training = [c for c in store.of("train") if c.heard and c.group == store.main_group] if settings.ridge else []
    known = [lip_sync(context, c, store.features(c, pipeline.audio)) for c in training]
    ridge = LipRidge.fit(known) if known else None
    scores = Scores(metric for metric in pipeline.metrics if metric.needs == "vertices")
    retrieval: list[StylePart] = []
    sources, fps = {clip.name: clip for clip in pipeline.corpus.clips()}, pipeline.sizes.fps
    rows, curves = [], {}
    for clip, prompt in chosen:
        audio, identity = store.features(clip, context.pipeline.audio), store.identities[clip.speaker]
        code = prompt_code(model, store, prompt, context.device)
        real = attrs.evolve(performance_of(context, clip, audio), wave=_sound(sources[clip.source], clip, fps))
        heard = store.features(prompt, context.pipeline.audio, 0, PROMPT_FRAMES) if prompt.heard else None
        ours = attrs.evolve(
            real,
            vertices=pipeline.face.decode(decode_whole(model, audio, code), identity),
            prompt=performance_of(context, prompt, heard, PROMPT_FRAMES),
        )
        row: dict[str, Any] = {"clip": clip.name, "speaker": clip.speaker, "prompt": prompt.name}
        row["offset_ms"] = clip.offset_ms
        row["measures"] = scores.add(ours, real)
        with suppress(NotComputed):
            retrieval.append(RETRIEVAL.part(ours, real))
        sides = {"tracked": real.vertices, "ours": ours.vertices}
        opening = {name: pipeline.face.lip_opening(side).numpy() for name, side in sides.items() if side is not None}
        row["bound"] = measured_bound(model, store, clip, prompt, context.device)
        row["lip_opening_correlation"] = pearson(opening["ours"], opening["tracked"])
        if ridge is not None:
            row["lip_opening_correlation_ridge"] = ridge.correlation(lip_sync(context, clip, audio))
        curves[clip.name] = {name: [round(float(v), 5) for v in values] for name, values in opening.items()}
        rows.append(row)
    write_text(context.run.samples / "lip_opening.json", json.dumps(curves))
    figures: dict[str, Any] = {
        "measures": {m.name: {"better": m.better, "unit": m.unit} for own in pipeline.metrics for m in own.measures},
        "held_out": {"clips": rows},
    }
    if left_out:
        figures["held_out"]["left_out"] = left_out
    if rows:
        figures["bound"] = {
            "measure": "negative bound (VAST, eq. 7) and reconstruction in nats per frame, KL in nats, mean over clips",
            **{name: float(np.mean([row["bound"][name] for row in rows])) for name in rows[0]["bound"]},
        }
        figures["held_out"] |= {
            "measure": "mean over held-out clips, prompted by another clip of the same style",
            **scores.overall(),
        }
        if scores.not_computed:
            figures["held_out"]["not_computed"] = scores.not_computed
        figures["lips"] = {
            "measure": "Pearson correlation of predicted and tracked inner-lip opening, mean over held-out clips",
            "ours": float(np.mean([row["lip_opening_correlation"] for row in rows])),
        }
        if len(retrieval) == len(rows):
            figures |= _retrieval(retrieval, [row["speaker"] for row in rows])
        if ridge is not None:
            figures["lips"]["ridge"] = float(np.mean([row["lip_opening_correlation_ridge"] for row in rows]))
    return figures


def _retrieval(parts: Sequence[StylePart], speakers: Sequence[str]) -> dict[str, Any]:
    """Style retrieval with its interval and, if it may be chance, a warning; empty if it cannot be computed."""
    try:
        pooled = RETRIEVAL.pool(parts)
    except NotComputed:
        return {}
    hits = [own["style_retrieval"] for own in RETRIEVAL.each(parts)]
    rule = Bootstrap()
    low, high = interval(hits, speakers, rule.resamples, rule.seed)
    value, chance = pooled["style_retrieval"], pooled["style_retrieval_chance"]
    return {
        "style_retrieval": {
            "measure": "share of held-out clips whose own prompt, or one of its style, is nearest in style",
            "value": value,
            "low": low,
            "high": high,
            "chance": chance,
            "warning": ignored_code(value, low, chance),
        }
    }


def _sound(source: Clip, clip: PreparedClip, fps: float) -> Tensor | None:
    """The sound (S,) of a prepared clip, in sync."""
    wave = source.footage.wave()
    if wave is None:
        return None
    sound = sound_of(shift_wave(wave, clip.offset_ms), clip.start, clip.start + clip.frames, fps)
    return None if sound is None else torch.from_numpy(sound)


def _chosen(store: Store, most: int) -> tuple[list[tuple[PreparedClip, PreparedClip]], dict[str, str]]:
    """At most ``most`` held-out clips with sound, each with its prompt; and the reasons why others are excluded, by
    name.

    Only clips in training styles, or all clips if there are none of these. In a union of corpora, only clips of the
    first.
    """
    heard = [clip for clip in store.of("held_out") if clip.heard and clip.group == store.main_group]
    trained = {clip.style for clip in store.of("train")}
    pairs: list[tuple[PreparedClip, PreparedClip]] = []
    left_out: dict[str, str] = {}
    for clip in [clip for clip in heard if clip.style is None or clip.style in trained] or heard:
        try:
            pairs.append((clip, prompt_for(store, clip)))
        except InputError as error:
            left_out[clip.name] = str(error)
    return spread(pairs, most), left_out
