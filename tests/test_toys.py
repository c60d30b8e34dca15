"""Components of sorts that the first-party ones are not, in a package of their own: they pass the kit, train and speak.

A face with a fixed basis, a decoder by flow matching that moves the head, a renderer that warps, audio features that
are learned, and style encoders that read words (``tests/toys``).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from faults.outcome import packets_of
from safetensors import safe_open

TOYS = Path(__file__).with_name("toys") / "vast_toys"
MODELS = Path(os.environ.get("VAST_WEIGHTS", Path(__file__).resolve().parents[2] / "shared" / "models"))
SHORT = (
    "corpus.speakers=2",
    "corpus.styles=2",
    "corpus.held_out_styles=2",
    "stages.style.steps=4",
    "stages.style.batch=4",
    "stages.renderer.steps=2",
    "stages.evaluate.max_clips=1",
    "stages.synthesize.seconds=1",
)
RUNS = {
    "decoder": ("decoder={use: matching}",),
    "face": ("face={use: blendshapes}", "renderer={use: warp}"),
    "style": ("style={use: words}",),
    "all": (
        "face={use: blendshapes}",
        "decoder={use: matching}",
        "renderer={use: warp}",
        "audio={use: learned}",
        "style={use: mannered}",
    ),
}
"""What each run has in place of parts of the recipe ``vast_tiny``."""


@pytest.fixture(scope="module")
def toys(packages_in, tmp_path_factory):
    """A place where they are installed."""
    packages = packages_in(tmp_path_factory.mktemp("toys"))
    place = packages.add("vast-toys", entry_points="[vast.v1]\ntoys = vast_toys.plugin\n", write_module=False)
    shutil.copytree(TOYS, place / "vast_toys")
    return packages


def vast(toys, *words, **variables):
    done = toys.vast(*words, VAST_CACHE=str(toys.folder / "cache"), VAST_STRICT_PLUGINS="1", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(toys, name):
    """The folder of a run, made once."""
    folder = toys.folder / name
    if not (folder / "report.html").is_file():
        vast(toys, "run", "vast_tiny", *SHORT, *RUNS[name], "--out", folder)
    return folder


def numbers(value):
    """Every number in a tree of figures."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


def tensors(path):
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)


@pytest.fixture(scope="module")
def speech(toys):
    """A second of a hum that comes and goes."""
    path, time = toys.folder / "speech.wav", np.arange(16_000) / 16_000
    hum = np.sin(2 * np.pi * 130 * time) * np.abs(np.sin(2 * np.pi * 3 * time))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "NONE"))
        file.writeframes((8_000 * hum).astype("<i2").tobytes())
    return path


@pytest.mark.slow
def test_they_pass_the_kit(toys):
    vast(toys, "plugins", "check", "vast-toys")


@pytest.mark.slow
def test_their_shapes_are_told_without_data(toys):
    told = vast(toys, "check", "vast_tiny", *RUNS["all"])
    assert "decoded expression" in told


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_recipe_trains_with_it(toys, name):
    folder = run(toys, name)
    assert (folder / "samples" / "styles.png").is_file()
    figures = list(numbers(json.loads((folder / "evaluation.json").read_text())))
    assert len(figures) > 20
    assert all(map(math.isfinite, figures))


@pytest.mark.slow
def test_trained_audio_is_saved_with_the_style_weights_and_heard_by_the_renderer(toys):
    folder = run(toys, "all")
    weights = tensors(folder / "weights" / "style.safetensors")
    assert weights["audio.read.weight"].shape == (8, 321)
    avatars = list((toys.folder / "cache" / "avatars").glob("*/0000.safetensors"))
    assert 8 in {tensors(pictures)["audio"].shape[1] for pictures in avatars}


@pytest.mark.slow
@pytest.mark.skipif(not (MODELS / "face_landmarker.task").is_file(), reason="face_landmarker.task is not here")
def test_the_same_seed_says_the_same_and_another_does_not(toys, speech):
    folder, said = run(toys, "decoder"), []
    for number, seed in enumerate((1, 1, 2)):
        out = toys.folder / f"said{number}.mp4"
        clip = folder / "samples" / "alma.mp4"
        words = ("synth", folder, "--audio", speech, "--style", clip, "--seed", str(seed), "--out", out)
        vast(toys, *words, VAST_WEIGHTS=str(MODELS))
        said.append(packets_of(out))
    assert said[0] == said[1]
    assert said[0] != said[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["style", "all"])
def test_an_avatar_speaks_in_the_style_of_words(toys, speech, name):
    folder, said = run(toys, name), []
    for words in ("label:very happy", "label:sad:0.5"):
        out = toys.folder / f"{name} {len(said)}.mp4"
        vast(toys, "synth", folder, "--audio", speech, "--style", words, "--out", out)
        said.append(packets_of(out))
    assert said[0] != said[1]


@pytest.mark.slow
def test_what_an_encoder_does_not_read_is_told(toys, speech):
    refused = toys.vast(
        *("synth", run(toys, "decoder"), "--audio", speech, "--style", "label:happy", "--out", toys.folder / "no.mp4"),
        VAST_CACHE=str(toys.folder / "cache"),
    )
    assert refused.returncode == 2
    assert "reads only clips" in " ".join((refused.stdout + refused.stderr).split())
