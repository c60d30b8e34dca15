"""Whether the style of an unseen prompt reaches the face, if the corpus provides the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from vast_core.interfaces import FaceTrack, unposed
from vast_core.runs import PreparedClip
from vast_core.speak.style_model import StyleModel, decode_whole
from vast_core.stages import StageContext
from vast_core.stages.style import prompt_code

from ..config import EvaluateStage
from ..prepared import prompt_in, spread


@attrs.frozen
class Pair:
    """A sentence to be said in a held-out style."""

    target: PreparedClip
    style: str
    wrong_style: str
    """Style of the wrong prompt: another held-out style."""


def style_transfer(context: StageContext, model: StyleModel) -> dict[str, Any] | None:
    """Distance (mm) from the counterfactual truth: for the model, the zero code and a wrong prompt.

    The target is a held-out sentence; the prompt is another sentence, by another speaker if possible, in a held-out
    style; the truth is the target's sentence by its speaker in the prompt's style. None if the corpus has no style
    labels or no counterfactuals.
    """
    store, corpus = context.store, context.pipeline.corpus
    trained = {clip.style for clip in store.of("train")}
    held_out = [clip for clip in store.of("held_out") if clip.style and clip.style not in trained]
    sources = {clip.name: clip for clip in corpus.clips()} if held_out else {}
    words = {name: clip.transcript for name, clip in sources.items()}
    unseen = styles_of_several_sentences(held_out, words)
    if len(unseen) < 2:
        return None
    targets = one_a_sentence([clip for clip in held_out if clip.heard and clip.style in unseen], words)
    rows: list[dict[str, Any]] = []
    for pair in chosen_pairs(targets, unseen, context.options("evaluate", EvaluateStage).max_pairs):
        truth = corpus.counterfactual(sources[pair.target.source], pair.style)
        if truth is None or truth.track is None:
            return None
        rows.append(_measured(context, model, pair, truth.track, words))
    if not rows:
        return None
    names = ("ours", "zero_code", "wrong_prompt")
    means = {name: float(np.mean([row[name] for row in rows])) for name in names}
    return {
        "measure": "mean vertex distance from the counterfactual truth over the whole face, mm",
        **means,
        "ratio_to_zero_code": means["ours"] / means["zero_code"],
        "ratio_to_wrong_prompt": means["ours"] / means["wrong_prompt"],
        "lips": {name: float(np.mean([row["lips"][name] for row in rows])) for name in names},
        "unseen_styles": len(unseen),
        "pairs": rows,
    }


def styles_of_several_sentences(clips: Sequence[PreparedClip], words: Mapping[str, str | None]) -> list[str]:
    """The styles, sorted, in which ``clips`` have at least two sentences: each has a prompt for every sentence."""
    said: dict[str, set[str | None]] = {}
    for clip in clips:
        if clip.style is not None:
            said.setdefault(clip.style, set()).add(words[clip.source])
    return sorted(style for style, sentences in said.items() if len(sentences) > 1)


def one_a_sentence(clips: Sequence[PreparedClip], words: Mapping[str, str | None]) -> list[PreparedClip]:
    """The first clip of each speaker and sentence; ``words`` are the transcripts by source."""
    chosen: dict[tuple[str, str | None], PreparedClip] = {}
    for clip in clips:
        chosen.setdefault((clip.speaker, words[clip.source]), clip)
    return list(chosen.values())


def chosen_pairs(targets: Sequence[PreparedClip], styles: Sequence[str], most: int) -> list[Pair]:
    """At most ``most`` pairs, ordered by target; the counts of targets, and of styles, differ by at most one.

    Pair k has target k mod T and style (k + floor(k / lcm(T, S))) mod S, which gives T S different pairs.
    """
    targets = spread(targets, most)
    if not targets:
        return []
    cycle = math.lcm(len(targets), len(styles))
    places = [(k % len(targets), (k + k // cycle) % len(styles)) for k in range(min(most, len(targets) * len(styles)))]
    # the wrong prompt's style varies with the target, so that all styles are wrong equally often
    return [
        Pair(targets[t], styles[s], styles[(s + 1 + t % (len(styles) - 1)) % len(styles)]) for t, s in sorted(places)
    ]


def _measured(
    context: StageContext, model: StyleModel, pair: Pair, truth: FaceTrack, words: Mapping[str, str | None]
) -> dict[str, Any]:
    """The errors (mm) of one pair, over the whole face and over the lips."""
    store, face, target = context.store, context.pipeline.face, pair.target
    expected = unposed(truth)[target.start : target.start + target.frames]

    def code(style: str) -> Tensor:
        return prompt_code(model, store, prompt_in(store, target, style, words), context.device)

    codes = {"ours": code(pair.style), "wrong_prompt": code(pair.wrong_style)}
    codes["zero_code"] = torch.zeros_like(codes["ours"])
    audio, identity = store.features(target, context.pipeline.audio), store.identities[target.speaker]
    row: dict[str, Any] = {"target": target.name, "style": pair.style, "wrong_style": pair.wrong_style, "lips": {}}
    for name, z in codes.items():
        error = (face.decode(decode_whole(model, audio, z), identity) - expected).norm(dim=-1)
        row[name] = float(error.mean()) * face.millimetres
        row["lips"][name] = float(error[:, face.lips].mean()) * face.millimetres
    return row
