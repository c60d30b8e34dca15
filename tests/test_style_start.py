"""Training that starts from another run's weights, or uses them as they are."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vast_core import load
from vast_core.errors import InputError, RecipeError
from vast_core.media import VideoFile, VideoWriter
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import PrepareStage, Registry, StyleStage
from vast_core.runner import run_recipe
from vast_core.runs.weights import load_weights
from vast_core.speak.parts import load_part
from vast_core.speak.sliders import Sliders, load_sliders
from vast_core.speak.style import weights_digest
from vast_core.speak.style_model import StyleModel
from vast_core.speak.trained import load_style, load_style_file

MODELS = Path(os.environ.get("VAST_WEIGHTS", Path(__file__).resolve().parents[2] / "shared" / "models"))
SMALL = ("run=[prepare, style]", "corpus.avatar_seconds=2", "corpus.sentences=1", "corpus.held_out_styles=0")
LINEAR = "decoder={use: hybrid, parts: linear, linear_trained: false, linear_reach: 2, enlarged: 1.4}"


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory, registry, cache):
    """A run on synthetic speakers of 24 styles, whose weights the others start from."""
    options = [*SMALL, LINEAR, "corpus.styles=24", "stages.style.steps=20"]
    return run_recipe(load_recipe("vast_tiny", registry, options), registry, tmp_path_factory.mktemp("first") / "run")


@pytest.fixture(scope="module")
def start(registry, first, tmp_path_factory):
    """``start(*options)`` runs on another speaker, from the weights of the first run."""
    face, style = first.weights / "face.safetensors", first.weights / "style.safetensors"

    def run(*options, decoder=LINEAR, face=face):
        given = [f"stages.style.start={style}", "corpus.seed=7", "corpus.styles=1", "corpus.speakers=1"]
        given += [f"stages.prepare.face={face}"] if face else []
        recipe = load_recipe("vast_tiny", registry, [*SMALL, decoder, *given, *options])
        return run_recipe(recipe, registry, tmp_path_factory.mktemp("second") / "run")

    return run


def test_without_steps_only_the_decoder_is_adapted_and_face_and_sliders_are_kept(first, start, registry):
    run = start("stages.style.steps=0")
    (face, _), (old_face, _) = (load_weights(each.weights / "face.safetensors") for each in (run, first))
    assert all(torch.equal(face[name], old_face[name]) for name in old_face)
    (style, _), (old, _) = (load_weights(each.weights / "style.safetensors") for each in (run, first))
    changed = {name for name in old if not torch.equal(style[name], old[name])}
    assert changed <= {"decoder.linear.weight", "decoder.enlargement"}
    assert "decoder.linear.weight" in changed
    model = load_style(run.weights, assemble(load_recipe(run.path / "recipe.yaml", registry), registry))
    sliders, old_sliders = load_sliders(run.weights, model), Sliders.load(first.weights / "sliders.safetensors")
    assert torch.equal(sliders.directions, old_sliders.directions)


def test_with_steps_training_goes_on_from_the_weights(first, start):
    run = start("stages.style.steps=1", "stages.style.learning_rate=1.0e-6")
    (style, _), (old, _) = (load_weights(each.weights / "style.safetensors") for each in (run, first))
    for name, value in old.items():
        if name.startswith("style.") and value.is_floating_point():
            torch.testing.assert_close(style[name], value, atol=1e-4, rtol=0)


def test_another_face_or_decoder_is_refused_with_what_to_do(start):
    with pytest.raises(InputError, match=r"style\.start: .*trained on another expression.*stages\.prepare\.face"):
        start("stages.style.steps=0", face=None)
    with pytest.raises(Exception, match=r"style\.safetensors: these weights belong to other components"):
        start("stages.style.steps=0", decoder="decoder={use: hybrid, width: 16}")


def test_no_steps_and_no_start_is_a_mistake_of_the_recipe(registry):
    with pytest.raises(RecipeError, match=r"0 steps train nothing; give stages\.style\.start"):
        load_recipe("vast_tiny", registry, ["stages.style.steps=0"])


def test_the_weights_that_are_shipped_fit_the_recipe_that_names_them(registry, tmp_path):
    recipe = load_recipe("vast_quick", registry, [f"corpus.path={tmp_path}"])
    pipeline = assemble(recipe, registry)
    settings = recipe.options("style", StyleStage)
    load_part(pipeline.face, recipe.options("prepare", PrepareStage).face, pipeline, "face")
    header = load_style_file(settings.start, StyleModel(pipeline), pipeline)
    assert header["face"] == weights_digest(pipeline.face)
    assert {"smile", "brow", "eyes"} <= set(Sliders.load(settings.start.with_name("sliders.safetensors")).factors)


@pytest.mark.slow
@pytest.mark.skipif(not (MODELS / "face_landmarker.task").is_file(), reason="face_landmarker.task is not here")
def test_one_clip_makes_an_avatar_without_training(registry, tmp_path, monkeypatch, cache):
    monkeypatch.setenv("VAST_WEIGHTS", str(MODELS))
    clip = next(iter(assemble(load_recipe("vast_tiny", registry, ["corpus.image=192"]), registry).corpus.clips()))
    with VideoWriter(tmp_path / "ann.mp4", 25, clip.footage.wave()) as writer:
        for frame in clip.footage.frames():
            writer.write(frame)
    recipe = load_recipe("vast_quick", registry, [f"corpus.path={tmp_path / 'ann.mp4'}"])
    run = run_recipe(recipe, registry, tmp_path / "run")
    avatar = load(run.path)
    assert {"smile", "brow"} <= set(avatar.factors)
    page = (run.path / "report.html").read_text()
    assert "ann says ann in the style of ann." in page
    assert page.count("<video") == 1, "the avatar's own footage is no result"
    assert "by row: in the style of ann; the first with " in page
    frames, own = list(VideoFile(run.samples / "ann.mp4", 25).frames()), list(clip.footage.frames())
    assert len(frames) == len(own)
    worst = max(np.abs(a[:20].astype(int) - b[:20]).mean() for a, b in zip(frames, own, strict=True))
    assert worst < 6, "above the head the picture is the clip's own"
