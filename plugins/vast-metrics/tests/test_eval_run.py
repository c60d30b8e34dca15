"""``vast eval RUN``: the smallest run, its own clips, other footage, and its videos as any system's."""

import json
import shutil

import numpy as np
import pytest
import torch

from vast_core.errors import InputError
from vast_core.media import VideoFile
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs import load_weights, save_weights
from vast_metrics.evaluation.evaluator import Evaluator
from vast_metrics.evaluation.protocol import Protocol

pytestmark = pytest.mark.slow

PROTOCOL = """
protocol: 1
crop: {size: 64}
face: {use: landmarks}
audio: {use: mel}
metrics:
  [{use: lip_vertex_error}, {use: lip_correlation}, {use: style_distance}, {use: style_diversity}, {use: head_motion},
   {use: psnr}]
bootstrap: {resamples: 200}
max_clips: 5
takes: 2
"""
TINY = (
    "audio={use: mel}",
    "renderer={use: mesh, size: 64}",
    "stages.style.steps=2",
    "stages.style.batch=2",
    "corpus.styles=2",
    "corpus.held_out_styles=1",
    "corpus.avatar_seconds=2",
    "corpus.supersampling=1",
)


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("eval_run")


@pytest.fixture(scope="module", autouse=True)
def cache(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAST_CACHE", str(place / "cache"))
        yield


@pytest.fixture(scope="module")
def run(registry, place):
    names = ("lip_vertex_error", "style_distance", "lip_correlation", "landmark_distance")
    metrics = f"metrics=[{', '.join(f'{{use: {name}}}' for name in names)}]"
    stages = "run=[prepare, style, renderer, evaluate, synthesize]"
    recipe = load_recipe("vast_tiny", registry, [*TINY, metrics, stages, "stages.evaluate.max_clips=100"])
    return run_recipe(recipe, registry, place / "tiny").path


@pytest.fixture(scope="module")
def evaluator(registry, place):
    (place / "small.yaml").write_text(PROTOCOL)
    return Evaluator(protocol=Protocol.load(str(place / "small.yaml"), registry), registry=registry)


@pytest.fixture(scope="module")
def found(evaluator, run, place):
    return evaluator.run(run, "held_out", place / "out")


def index(run):
    from rich.console import Console

    from vast_metrics.evaluation.from_run import Trained

    return Trained.load(run, Registry.discover(), Console(quiet=True)).context.store


def test_held_out_clips_are_predicted_in_the_manner_of_another(found, run):
    store = index(run)
    clips = {clip.name: clip for clip in store.clips}
    assert 1 < len(found.clips) <= 5
    for own in found.clips:
        assert clips[own.name].split == "held_out"
        prompt = clips[own.notes[0].removeprefix("in the style of ")]
        assert prompt.name != own.name
        assert prompt.style == clips[own.name].style
        assert own.frames == clips[own.name].frames
        assert own.values["lip_vertex_error"] > 0
        assert own.values["style_distance"] > 0
        assert own.values["style_diversity"] >= 0
    assert found.geometry == "model"
    assert found.not_computed["head_motion"] == "the head pose of the prediction is not known"


def test_the_error_is_that_of_the_models_own_vertices(found, run, registry):
    """By another way: weights, decoder and basis put together by hand for one clip."""
    from rich.console import Console

    from vast_metrics.evaluation.from_run import Trained

    trained = Trained.load(run, registry, Console(quiet=True))
    own = found.clips[0]
    store, face, model = trained.context.store, trained.face, trained.model
    clips = {clip.name: clip for clip in store.clips}
    clip, prompt = clips[own.name], clips[own.notes[0].removeprefix("in the style of ")]
    rows = [store.read(prompt, name)[None] for name in ("expression", "audio", "valid")]
    with torch.no_grad():
        posterior = model.style(rows[0], model.hear(rows[1]), rows[2], torch.tensor([True]))
        z = model.flow(posterior.mean, posterior.context).z
        audio = model.hear(store.read(clip, "audio")[None])
        expression = model.decoder(audio, z, torch.ones(audio.shape[:2], dtype=torch.bool)).expression[0]
        vertices = face.decode(expression, store.identities[clip.speaker])
    error = ((vertices - store.vertices(clip))[:, face.lips] * face.millimetres).square().sum(-1).amax(1).mean()
    assert own.values["lip_vertex_error"] == pytest.approx(float(error), rel=1e-4)


def test_the_stage_evaluate_and_vast_eval_agree_clip_by_clip(found, run):
    """Prompts and numbers of what both have measured."""
    figures = json.loads((run / "evaluation.json").read_text())
    rows = {row["clip"]: row for row in figures["held_out"]["clips"]}
    both = [own for own in found.clips if own.name in rows]
    assert len(both) > 1
    for own in both:
        row = rows[own.name]
        assert own.notes[0] == f"in the style of {row['prompt']}"
        shared = row["measures"].keys() & own.values.keys()
        assert {"lip_vertex_error", "style_distance", "lip_correlation"} <= shared
        for measure in shared:
            assert row["measures"][measure] == pytest.approx(own.values[measure], rel=1e-5), (own.name, measure)
        assert row["measures"]["lip_correlation"] == pytest.approx(row["lip_opening_correlation"], abs=1e-5)
    assert "left_out" not in figures["held_out"]


def test_the_avatar_is_drawn_into_its_own_footage_and_others_are_not(found, run, place):
    avatar = load_weights(run / "weights" / "avatar.safetensors")[1]["avatar"]
    drawn = [clip for clip in found.clips if clip.generated]
    assert drawn
    assert {clip.speaker for clip in drawn} == {avatar}
    for clip in found.clips:
        if clip.speaker != avatar:
            assert clip.not_computed["psnr"] == "the clip does not show the run's avatar but another person"
    ours, real = (VideoFile(place / "out" / getattr(drawn[0], side), 25.0) for side in ("generated", "reference"))
    assert ours.size == real.size == (128, 128)
    assert len(ours.wave()) == len(real.wave())
    frames = [np.stack(list(video.frames())).astype(int) for video in (ours, real)]
    assert len(frames[0]) == len(frames[1]) == drawn[0].frames
    apart = np.abs(frames[0] - frames[1]).mean((0, 3))
    assert apart[:10].mean() < 3  # what surrounds the face is the footage
    assert apart[50:90, 44:84].mean() > 2 * apart[:10].mean()


def test_its_videos_are_measured_as_any_systems(evaluator, run, place, found, monkeypatch):
    """The synthetic people are drawn, and no tracker is asked for here: true tracks stand in for it."""
    seen = []

    def follow(self, clip):
        seen.append(clip.name)
        raise InputError("not followed here")

    monkeypatch.setattr("vast_metrics.evaluation.videos.Follower.__call__", follow)
    with pytest.raises(Exception, match="no clip could be measured"):
        evaluator.run_tracked(run, "held_out", place / "tracked")
    assert seen
    assert not (place / "tracked").exists()


def test_other_footage_is_prompted_by_its_own_first_half(evaluator, run, place):
    found = evaluator.other_footage(run, "synthetic", None, place / "other")
    assert len(found.clips) == 5
    for clip in found.clips:
        assert "in the style of those before" in clip.notes[0]
        assert clip.not_computed["psnr"] == "the clip does not show the run's avatar but another person"
        assert clip.values["lip_vertex_error"] > 0


def test_a_run_without_an_avatar_says_so(evaluator, run, place):
    bare = place / "bare"
    shutil.copytree(run, bare)
    (bare / "weights" / "avatar.safetensors").unlink()
    found = evaluator.run(bare, "held_out", place / "bare_out")
    assert found.not_computed["psnr"] == "the run has no trained avatar"
    with pytest.raises(InputError, match="omit --tracked to measure its vertices"):
        evaluator.run_tracked(bare, "held_out", place / "bare_tracked")


def test_another_frame_rate_is_refused(evaluator, run, place, registry):
    (place / "fast.yaml").write_text(PROTOCOL + "fps: 30.0\n")
    fast = Evaluator(protocol=Protocol.load(str(place / "fast.yaml"), registry), registry=registry)
    with pytest.raises(InputError, match="the run has 25 frames per second, but protocol fast has 30"):
        fast.run(run, "held_out", place / "fast")


def test_an_unknown_corpus_names_both_ways(evaluator, run, place):
    with pytest.raises(InputError, match="--corpus nowhere: no such folder, and no corpus"):
        evaluator.other_footage(run, "nowhere", None, place / "nowhere")


def test_a_run_is_measured_by_its_own_weights(evaluator, run, place, found):
    """With the decoder's zeroed, the lips no longer follow."""
    silent = place / "silent"
    shutil.copytree(run, silent)
    path = silent / "weights" / "style.safetensors"
    tensors, header = load_weights(path)
    changed = {name: value * 0 if name.startswith("decoder.") else value for name, value in tensors.items()}
    save_weights(path, changed, header)
    other = evaluator.run(silent, "held_out", place / "silent_out")
    assert [clip.name for clip in other.clips] == [clip.name for clip in found.clips]
    assert other.overall["lip_vertex_error"].value != pytest.approx(found.overall["lip_vertex_error"].value, rel=1e-3)
    kept = json.loads((place / "silent_out" / "eval.json").read_text())
    assert kept["digest"] == found.digest
