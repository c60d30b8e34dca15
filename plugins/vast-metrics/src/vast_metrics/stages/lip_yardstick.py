"""Stage ``lip_yardstick``: how well audio features, and the decoder trained on them, predict the lips of unseen people.

For each speaker of the corpus, inner-lip opening divided by the distance of the eyes is predicted by models of the
other speakers, and correlated with the tracked opening for each clip: by ridge regression on each audio component, and
by style encoder, flow and decoder, trained by the core's own stages on all other speakers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table as Grid
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import listen
from vast_core.media import LipSync, pearson, shift_wave
from vast_core.recipe import Use
from vast_core.report import Block, Section, Table, Text
from vast_core.runs import PreparedClip, Run, use_key
from vast_core.speak.style_model import StyleModel, decode_whole
from vast_core.speak.trained import load_face, load_style
from vast_core.stages import StageContext
from vast_core.stages.avatar_pictures import find_clip

from ..config import LipYardstickStage
from ..prepared import lip_sync
from .trials import audio_alone, audio_uses, mean_and_spread, trial
from .unseen_speakers import leave_one_speaker_out

MEASURE = "Pearson correlation of predicted and tracked inner-lip opening, for clips of speakers excluded from training"
MEAN = "mean over clips"


def inputs(context: StageContext) -> dict[str, Any]:
    """Everything that the correlations depend on."""
    options = context.options("lip_yardstick", LipYardstickStage)
    uses = audio_uses(context.recipe, context.run.registry, options.audio)
    return {
        "prepared": context.key("prepare"),
        "audio": [use_key(use) for use in uses],
        "style": context.key("style") if options.decoder else None,
    }


def run(context: StageContext) -> list[Path]:
    """Measure, print, and write the figures."""
    options = context.options("lip_yardstick", LipYardstickStage)
    clips = [clip for clip in context.store.clips if clip.heard and clip.group == context.store.main_group]
    speakers = [clip.speaker for clip in clips]
    columns: dict[str, list[float]] = {}
    for use in audio_uses(context.recipe, context.run.registry, options.audio):
        with context.console.status(f"ridge regression on {use.name}"):
            heard = _listened(context, use, clips)
            columns[f"ridge on {use.name}"] = leave_one_speaker_out(heard, speakers, options.context // 2)
    seeds: dict[str, list[float]] = {}
    if options.decoder:
        own = context.recipe.part("audio")
        trained = [_decoded(context, own, seed, clips) for seed in options.seeds]
        columns[f"decoder on {own.name}"] = [float(r) for r in np.mean(trained, axis=0)]
        seeds[f"decoder on {own.name}"] = [float(np.mean(correlations)) for correlations in trained]
    figures = _figures(clips, columns, seeds)
    _print(context, figures)
    return [context.run.write_figures("lip_yardstick", figures)]


def _listened(context: StageContext, use: Use, clips: Sequence[PreparedClip]) -> list[LipSync]:
    """Audio features and lip opening of each prepared clip, with the offset correction of the preparation."""
    audio = audio_alone(context.recipe, context.run.registry, use).to(context.device).eval()
    waves: dict[str, NDArray[np.float32]] = {}
    found = []
    for clip in clips:
        if clip.source not in waves:
            wave = find_clip(context.pipeline.corpus, clip.source).footage.wave()
            if wave is None:
                raise InputError(f"{clip.source}: its sound is missing since it was prepared; prepare again")
            waves[clip.source] = shift_wave(wave, clip.offset_ms)
        rows = listen(audio, waves[clip.source], clip.start + clip.frames, context.device)
        found.append(lip_sync(context, clip, rows[clip.start :]))
    return found


def _decoded(context: StageContext, use: Use, seed: int, clips: Sequence[PreparedClip]) -> list[float]:
    """Correlation for each clip with the opening by a decoder that was trained without its speaker."""
    openings: list[tuple[PreparedClip, Tensor]] = []
    for name, speakers in folds(clips, context.options("lip_yardstick", LipYardstickStage).folds):
        fold = trial(context, use, seed, ("prepare", "style"), name, speakers)
        load_face(fold.run.weights, fold.pipeline.to(fold.device))
        model = load_style(fold.run.weights, fold.pipeline)
        openings += [(clip, _spoken(fold, model, clip)) for clip in fold.store.of("held_out") if clip.heard]
    return [_correlation(context, clip, openings) for clip in clips]


def folds(clips: Sequence[PreparedClip], count: int | None) -> list[tuple[str, list[str]]]:
    """The speakers that are left out together, with a name: each alone, or ``count`` groups of every count-th."""
    speakers = list(dict.fromkeys(clip.speaker for clip in clips))
    if count is None or count >= len(speakers):
        return [(speaker, [speaker]) for speaker in speakers]
    return [(f"fold {number + 1} of {count}", speakers[number::count]) for number in range(count)]


def _spoken(fold: StageContext, model: StyleModel, clip: PreparedClip) -> Tensor:
    """The decoder's lip opening (T,) of a clip; each half is prompted by the other half.

    Therefore no frame is predicted with a style code computed from it.
    """
    store, face, identity = fold.store, fold.pipeline.face, fold.store.identities[clip.speaker]
    expression, valid = (store.read(clip, name) for name in ("expression", "valid"))
    audio = store.features(clip, model.audio)
    first, second = slice(0, clip.frames // 2), slice(clip.frames // 2, clip.frames)
    halves = []
    for said, shown in ((first, second), (second, first)):
        face_shown, heard, seen = (part[None, shown].to(fold.device) for part in (expression, audio, valid))
        with torch.no_grad():
            code = model.code(face_shown, heard, seen, torch.ones(1, dtype=torch.bool, device=fold.device))
        halves.append(face.lip_opening(face.decode(decode_whole(model, audio, code), identity))[said])
    return torch.cat(halves)


def _correlation(context: StageContext, clip: PreparedClip, openings: Sequence[tuple[PreparedClip, Tensor]]) -> float:
    """Correlation over a prepared clip, which may be part of a predicted clip."""
    for whole, opening in openings:
        begin = clip.start - whole.start
        if whole.source == clip.source and 0 <= begin <= whole.frames - clip.frames:
            tracked = context.pipeline.face.lip_opening(context.store.vertices(clip))
            valid = context.store.read(clip, "valid")
            return pearson(opening[begin : begin + clip.frames][valid].numpy(), tracked[valid].numpy())
    raise InputError(f"{clip.name}: could not be prepared with its speaker held out; see the reasons printed above")


# -------------------------------------------------------------------------------------------------- showing


def _figures(
    clips: Sequence[PreparedClip], columns: dict[str, list[float]], seeds: dict[str, list[float]]
) -> dict[str, Any]:
    """All correlations, their means over clips and speakers, and the spread over speakers and seeds."""
    speakers = list(dict.fromkeys(clip.speaker for clip in clips))
    summary = {}
    for name, values in columns.items():
        each = {
            speaker: float(np.mean([r for r, clip in zip(values, clips, strict=True) if clip.speaker == speaker]))
            for speaker in speakers
        }
        mean, spread = mean_and_spread(list(each.values()))
        summary[name] = {
            "mean_over_clips": float(np.mean(values)),
            "mean_over_speakers": mean,
            "spread_over_speakers": spread,
            "speakers": each,
        }
        if name in seeds:
            summary[name]["seeds"] = seeds[name]
            if len(seeds[name]) > 1:
                summary[name]["spread_over_seeds"] = mean_and_spread(seeds[name])[1]
    rows = [
        {
            "clip": clip.name,
            "speaker": clip.speaker,
            "offset_ms": clip.offset_ms,
            **{name: values[number] for name, values in columns.items()},
        }
        for number, clip in enumerate(clips)
    ]
    return {"measure": MEASURE, "summary": summary, "clips": rows}


def _rows(figures: dict[str, Any]) -> Iterator[tuple[str, list[float | None]]]:
    """The rows of the table: clips, speakers, means, spreads."""
    summary = figures["summary"]
    for clip in figures["clips"]:
        yield f"{clip['clip']} ({clip['speaker']})", [clip[name] for name in summary]
    for speaker in next(iter(summary.values()))["speakers"]:
        yield f"speaker {speaker}", [own["speakers"][speaker] for own in summary.values()]
    yield MEAN, [own["mean_over_clips"] for own in summary.values()]
    yield "mean over speakers", [own["mean_over_speakers"] for own in summary.values()]
    yield "standard deviation over speakers", [own["spread_over_speakers"] for own in summary.values()]
    if any("spread_over_seeds" in own for own in summary.values()):
        yield "standard deviation over seeds", [own.get("spread_over_seeds") for own in summary.values()]


def _print(context: StageContext, figures: dict[str, Any]) -> None:
    grid = Grid("", title="lip opening of unseen speakers, correlation", title_justify="left")
    for name in figures["summary"]:
        grid.add_column(name, justify="right")
    for label, values in _rows(figures):
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        grid.add_row(label, *cells, style="bold" if label == MEAN else None)
    context.console.print(grid)


def report(run: Run) -> Iterator[Section]:
    """The stage's part of the report."""
    figures = run.figures("lip_yardstick")
    rows = [[label, *values] for label, values in _rows(figures)]
    blocks: list[Block] = [Text(figures["measure"] + "."), Table(["", *figures["summary"]], rows)]
    yield Section("Lips of unseen speakers", blocks)
