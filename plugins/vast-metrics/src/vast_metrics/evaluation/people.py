"""``vast eval RUN --style-of-people FOLDER``: a finished run on labelled prompts, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vast_core.files import write_text
from vast_core.interfaces import SAMPLE_RATE
from vast_core.report import write_report
from vast_core.stages.style import PROMPT_FRAMES

from ..people.acting import Actor, act, words
from ..people.figures import figures_of
from ..people.page import FOLDER, print_figures, section
from ..people.pictures import Stage, write_pictures
from ..people.prompts import LabelledClips
from .from_run import Trained
from .videos import Follower

PEOPLE_FILE, PEOPLE_PAGE = "style_of_people.json", "style_of_people.html"

SECONDS = 8.0
"""Seconds of speech that the avatar says."""
TRAINING = "The run is measured as it is: speakers on whom it was trained are not unseen."


def measure_people(trained: Trained, folder: Path, sound: Path | None, out: Path) -> dict[str, Any]:
    """Measure, print, and write figures, page and pictures into ``out``; returns the figures.

    Raises :class:`vast_core.errors.InputError` if no speaker in ``folder`` has enough labelled clips.
    """
    context, pipeline = trained.context, trained.context.pipeline
    labelled = LabelledClips.of(folder, context.recipe.fps, context.run.registry)
    wave, spoken = words(pipeline.corpus, sound, SECONDS, list(labelled.speakers))
    follower = Follower(face=pipeline.face, parts=context.recipe, most=PROMPT_FRAMES)
    with context.console.status("tracking the prompts"):
        people, left_out = labelled.follow(follower)
    actor = Actor(pipeline=pipeline, model=trained.model, identity=_identity(trained), wave=wave)
    acts = []
    for person in people:
        with context.console.status(f"speaking in the styles of {person.name}"):
            acts.append(act(actor, person, context.recipe.seed))
            stage = Stage(actor, trained.base, trained.renderer, context.run.path / "base.mp4")
            write_pictures(out / FOLDER, stage, acts[-1])
    seconds = len(wave) / SAMPLE_RATE
    figures = figures_of(acts, left_out, spoken=spoken, seconds=seconds, training=TRAINING)
    print_figures(context.console, figures)
    write_text(out / PEOPLE_FILE, json.dumps(figures, indent=1))
    own = section(figures, out / FOLDER)
    write_report(out / PEOPLE_PAGE, f"Style of people: {trained.name}", f"prompts of {folder}", [own])
    return figures


def _identity(trained: Trained) -> Tensor:
    """The avatar's neutral face; without an avatar, the mean of the speakers' that the run has prepared."""
    if trained.base is not None:
        return trained.base.identity
    return torch.stack(list(trained.context.store.identities.values())).mean(0)
