"""Stage ``style_of_people``: whether an avatar takes on the emotions of real people that it was never trained on.

Speakers who occur in the corpus are left out of training, one at a time, by a training of the core's own stages for
each; one more training serves all who do not occur. Then an avatar says the same words in the style of each prompt of
each speaker; see :mod:`vast_metrics.people`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.interfaces import SAMPLE_RATE
from vast_core.report import Section
from vast_core.runs import Run, clip_key
from vast_core.speak.trained import load_face, load_style
from vast_core.stages import StageContext
from vast_core.stages.style import PROMPT_FRAMES

from ..config import StyleOfPeopleStage
from ..evaluation.videos import Follower
from ..people.acting import Act, Actor, act, words
from ..people.figures import figures_of
from ..people.page import FOLDER, print_figures, section
from ..people.pictures import Stage, write_pictures
from ..people.prompts import LabelledClips
from .evaluation_file import PEOPLE, add_to_evaluation
from .trials import trial

TRAINING = "Every speaker was left out of training."


def inputs(context: StageContext) -> dict[str, Any]:
    """Everything that the figures depend on."""
    options = context.options(PEOPLE, StyleOfPeopleStage)
    return {"style": context.key("style"), "prompts": [clip_key(clip) for clip in _labelled(context, options).clips]}


def run(context: StageContext) -> list[Path]:
    """Train, measure, print, and write figures and pictures."""
    options, pipeline = context.options(PEOPLE, StyleOfPeopleStage), context.pipeline
    labelled = _labelled(context, options)
    wave, spoken = words(pipeline.corpus, options.sound, options.seconds, list(labelled.speakers))
    follower = Follower(face=pipeline.face, parts=context.recipe, most=PROMPT_FRAMES)
    with context.console.status("tracking the prompts"):
        people, left_out = labelled.follow(follower)
    folder = context.run.samples / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    in_corpus = {clip.speaker for clip in pipeline.corpus.clips()}
    acts: list[Act] = []
    pictures: list[Path] = []
    for seed in options.seeds:
        together = [person for person in people if person.name not in in_corpus]
        groups = [(person.name, [person]) for person in people if person.name in in_corpus]
        for held_out, group in [*groups, *([(None, together)] if together else [])]:
            actor = _trained(context, seed, held_out, wave)
            for person in group:
                acts.append(act(actor, person, seed))
                if seed == options.seeds[0]:
                    stage = Stage(actor, None, None, context.run.path)
                    pictures += write_pictures(folder, stage, acts[-1])
    figures = figures_of(acts, left_out, spoken=spoken, seconds=len(wave) / SAMPLE_RATE, training=TRAINING)
    print_figures(context.console, figures)
    return [context.run.write_figures(PEOPLE, figures), add_to_evaluation(context.run, figures), *pictures]


def _labelled(context: StageContext, options: StyleOfPeopleStage) -> LabelledClips:
    return LabelledClips.of(options.clips, context.recipe.fps, context.run.registry, options.speakers)


def _trained(context: StageContext, seed: int, held_out: str | None, wave: NDArray[np.float32]) -> Actor:
    """A model trained without a speaker, and the mean neutral face of the speakers that it was trained on."""
    without = [] if held_out is None else [held_out]
    name = held_out or "all speakers"
    own = trial(context, context.recipe.part("audio"), seed, ("prepare", "style"), name, without)
    load_face(own.run.weights, own.pipeline.to(own.device))
    model = load_style(own.run.weights, own.pipeline)
    faces = [shape for speaker, shape in own.store.identities.items() if speaker != held_out]
    return Actor(pipeline=own.pipeline, model=model, identity=torch.stack(faces).mean(0), wave=wave)


def report(run: Run) -> Iterator[Section]:
    """The stage's part of the report."""
    yield section(run.figures(PEOPLE), run.samples / FOLDER)
