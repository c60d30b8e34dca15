"""Stage ``style_space``: how flat the space of style codes is.

Held-out sentences are spoken with codes on the straight line between two prompts, with codes drawn from their density,
and with prompts at strengths from 0 to 2. See :mod:`vast_metrics.style_space` for the figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import Measure
from vast_core.report import Block, Figure, Section, Table, Text, plot_curves
from vast_core.runs import PreparedClip, Run, Store
from vast_core.speak.style_model import StyleModel
from vast_core.speak.trained import load_face, load_style
from vast_core.stages import StageContext
from vast_core.stages.style import prompt_code

from ..config import StyleSpaceStage
from ..prepared import prompt_for, spread
from ..style_space import Range, apart, code_share, error_explained, evenness, monotony, progress

STEPS = 9
"""Codes on each path, with both ends."""

FRAMES = 500
"""Largest number of frames of a clip that are spoken."""

STRONGEST = 2.0
"""Strengths go from 0 to this."""

MEASURES = {
    "path_length": (
        Measure(name="path_length", better="higher", unit="mm"),
        "interpolation: mean vertex distance between the faces of two prompts",
    ),
    "path_monotony": (
        Measure(name="path_monotony", better="higher"),
        "interpolation: net share of the way over all of it; 1 if the faces never go back",
    ),
    "path_evenness": (
        Measure(name="path_evenness", better="higher"),
        "interpolation: mean step over longest step; 1 if there are no jumps",
    ),
    "path_plausibility": (
        Measure(name="path_plausibility", better="higher"),
        "interpolation: share of faces within the range of the corpus's",
    ),
    "prior_diversity": (
        Measure(name="prior_diversity", better="higher", unit="mm"),
        "drawn codes: mean vertex distance between two",
    ),
    "prior_plausibility": (
        Measure(name="prior_plausibility", better="higher"),
        "drawn codes: share of faces within the range of the corpus's",
    ),
    "strength_monotony": (
        Measure(name="strength_monotony", better="higher"),
        "strength 0 to 2: as for interpolation, on the way from strength 0 to 1",
    ),
    "strength_plausibility": (
        Measure(name="strength_plausibility", better="higher"),
        "strength 0 to 2: share of faces within the range of the corpus's",
    ),
    "code_share": (
        Measure(name="code_share", better="higher"),
        "share of the variance of the made faces that the code explains, the words being equal",
    ),
    "error_explained": (
        Measure(name="error_explained", better="higher"),
        "real clips: share of the squared error with the mean code that the prompt's own code removes",
    ),
}
"""The figures of the stage in the order of its table, and what they are."""


def inputs(context: StageContext) -> dict[str, Any]:
    """Everything that the figures depend on."""
    return {"style": context.key("style")}


def run(context: StageContext) -> list[Path]:
    """Measure, and write the figures."""
    load_face(context.run.weights, context.pipeline.to(context.device))
    with context.console.status("style space"):
        figures = measured(context, load_style(context.run.weights, context.pipeline))
    return [context.run.write_figures("style_space", figures)]


def measured(context: StageContext, model: StyleModel) -> dict[str, Any]:
    """All figures of a trained model.

    Raises :class:`InputError` if fewer than two held-out clips, or none with sound, were prepared.
    """
    store, options = context.store, context.options("style_space", StyleSpaceStage)
    speaker = Speaker(context, model)
    clips = spread([clip for clip in store.of("held_out") if clip.heard], options.sentences)
    prompts = spread(_one_a_style(store), options.prompts)
    if not clips or len(prompts) < 2:
        raise InputError(
            f"{len(clips)} held-out clips with sound and {len(prompts)} held-out styles or recordings: the style space "
            "needs one and two; raise stages.prepare.held_out"
        )
    codes = torch.cat([prompt_code(model, store, prompt, context.device) for prompt in prompts])
    noise = torch.randn(options.samples, codes.shape[1], generator=torch.Generator().manual_seed(0))
    drawn = model.code_from(noise.to(codes))
    near = Range.of(
        speaker.real(store.of("train"), options.faces), speaker.real(store.of("held_out"), options.faces // 4)
    )
    shares = torch.linspace(0, 1, STEPS, device=codes.device)[:, None]
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    ways: dict[str, list[Tensor]] = {"interpolation": [], "strength": []}
    for clip in clips:
        for one, other in zip(codes, codes.roll(-1, 0), strict=True):
            path = speaker.says(clip, (1 - shares) * one + shares * other)
            values["path_length"].append(apart(path[0], path[-1]))
            values["path_monotony"].append(monotony(path))
            values["path_evenness"].append(evenness(path))
            values["path_plausibility"].append(near.plausible(path))
            ways["interpolation"].append(progress(path))
        for code in codes:
            path = speaker.says(clip, STRONGEST * shares * code)
            values["strength_monotony"].append(monotony(path, STEPS // 2))
            values["strength_plausibility"].append(near.plausible(path))
            ways["strength"].append(progress(path, STEPS // 2))
        takes = speaker.says(clip, drawn)
        values["prior_diversity"] += [apart(one, other) for one, other in combinations(takes, 2)]
        values["prior_plausibility"].append(near.plausible(takes))
    values["code_share"].append(code_share(torch.cat([speaker.says(clip, codes) for clip in clips], 1)))
    values["error_explained"] += _explained(context, speaker, codes.mean(0))
    return {
        "measure": f"{len(clips)} sentences, {len(prompts)} prompts, {options.samples} drawn codes; "
        f"faces are plausible within {near.reach:.2f} mm of one of the corpus's",
        "measures": {name: {"better": own.better, "unit": own.unit} for name, (own, _) in MEASURES.items()},
        **{name: float(np.mean(own)) for name, own in values.items() if own},
        "progress": {name: torch.stack(own).mean(0).tolist() for name, own in ways.items()},
    }


class Speaker:
    """Faces (mm) of one neutral face, the mean of all speakers', so that only expression differs."""

    def __init__(self, context: StageContext, model: StyleModel) -> None:
        self.store, self.model, self.device = context.store, model, context.device
        self.face = context.pipeline.face
        self.identity = torch.stack(list(context.store.identities.values())).mean(0)

    def shown(self, expression: Tensor) -> Tensor:
        """Vertices (..., V, 3), mm, of expression (..., E)."""
        return self.face.decode(expression, self.identity) * self.face.millimetres

    @torch.no_grad()
    def says(self, clip: PreparedClip, codes: Tensor) -> Tensor:
        """Performances (K, T, V, 3), mm, of a clip's first :data:`FRAMES` with codes (K, Z)."""
        audio = (
            self.store.features(clip, self.model.audio, 0, min(clip.frames, FRAMES))
            .to(self.device)
            .expand(len(codes), -1, -1)
        )
        mask = torch.ones(audio.shape[:2], dtype=torch.bool, device=self.device)
        return self.shown(self.model.speak(audio, codes, mask).expression.float().cpu())

    def real(self, clips: Iterator[PreparedClip], most: int) -> Tensor:
        """At most ``most`` tracked faces (N, V, 3), mm, evenly chosen from clips."""
        rows = [self.store.read(clip, "expression")[self.store.read(clip, "valid")] for clip in clips]
        every = torch.cat(rows)
        return self.shown(every[torch.linspace(0, len(every) - 1, min(most, len(every))).long()])


def _one_a_style(store: Store) -> list[PreparedClip]:
    """The first held-out clip of each style, or of each recording without a style label.

    Styles never trained on, if there are at least two.
    """
    trained = {clip.style for clip in store.of("train")}
    found: dict[str, PreparedClip] = {}
    for clip in store.of("held_out"):
        found.setdefault(clip.style or f"recording {clip.source}", clip)
    unseen = [clip for clip in found.values() if clip.style is not None and clip.style not in trained]
    return unseen if len(unseen) > 1 else list(found.values())


def _explained(context: StageContext, speaker: Speaker, mean: Tensor) -> list[float]:
    """:func:`error_explained` of held-out clips with sound, each prompted by another clip in its style."""
    store, most = context.store, context.options("style_space", StyleSpaceStage).clips
    found = []
    for clip in spread([clip for clip in store.of("held_out") if clip.heard], most):
        try:
            prompt = prompt_for(store, clip)
        except InputError:
            continue  # no other clip shows its style
        code = prompt_code(speaker.model, store, prompt, context.device)
        expression, valid = (store.read(clip, name, 0, min(clip.frames, FRAMES)) for name in ("expression", "valid"))
        made = speaker.says(clip, torch.cat([code, mean[None]]))[:, valid]
        found.append(error_explained(speaker.shown(expression[valid]), *made))
    return found


def report(run: Run) -> Iterator[Section]:
    """The stage's part of the report."""
    figures = run.figures("style_space")
    rows = [
        [name, figures[name], own.unit or None, own.better, what]
        for name, (own, what) in MEASURES.items()
        if name in figures
    ]
    blocks: list[Block] = [
        Text(f"How much and how evenly the face changes with the style code. {figures['measure']}."),
        Table(["figure", "value", "unit", "better", "what it is"], rows),
    ]
    for name, label in (("interpolation", "share of the second prompt"), ("strength", "strength of the code")):
        along = np.linspace(0, 1 if name == "interpolation" else STRONGEST, STEPS)
        blocks.append(
            Figure(
                f"{name}: mean share of the way",
                plot_curves(
                    along, {"ours": figures["progress"][name], "an even space": along}, "share of the way", label
                ),
            )
        )
    yield Section("Style space", blocks)
