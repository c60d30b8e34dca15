"""Complete runs of the smallest recipe, started as by a user."""

import json
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import yaml
from faults.outcome import packets_of
from safetensors import safe_open

from vast_core.speak.sliders import Factor, Sliders
from vast_core.speak.style import Style

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("VAST_WEIGHTS", ROOT.parent / "shared" / "models"))


def vast(*words, cache, expect=0, **environment):
    command = [sys.executable, "-m", "vast_core", *map(str, words)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "VAST_CACHE": str(cache), "COLUMNS": "200", "VAST_WEIGHTS": str(MODELS), **environment},
    )
    assert done.returncode == expect, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(place):
    vast("run", "vast_tiny", "--out", place / "tiny", cache=place / "cache")
    return place / "tiny"


def test_a_run_leaves_everything_that_it_promises(run):
    figures = json.loads((run / "evaluation.json").read_text())
    assert {"ours", "zero_code", "wrong_prompt"} <= set(figures["style_transfer"])
    assert {"psnr_face", "psnr_nearest_frame", "ssim_face"} <= set(figures["renderer"])
    assert list(figures["wall_seconds"]) == ["prepare", "style", "renderer", "evaluate", "synthesize"]
    assert 1e8 < figures["peak_memory_bytes"] < 4e9
    assert figures["rejected"] == []
    for name in ("face", "style", "renderer", "avatar"):
        with safe_open(run / "weights" / f"{name}.safetensors", framework="numpy") as file:
            assert "householder (vast-avatar" in file.metadata()["vast"]
    assert not list((run / "checkpoints").iterdir()), "a finished stage needs no checkpoint"
    report = (run / "report.html").read_text()
    assert "data:video/mp4;base64" in report
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert json.loads((run / "environment.json").read_text())["components"]["flow"].startswith("householder")


def test_the_video_is_for_browsers_and_has_sound(run):
    (path,) = (run / "samples").glob("*.mp4")
    with av.open(str(path)) as video:
        picture, sound = video.streams.video[0], video.streams.audio[0]
        assert (picture.codec.name, picture.pix_fmt, sound.codec.name) == ("h264", "yuv420p", "aac")
        assert picture.average_rate == Fraction(25)
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 50
    assert 20 < np.mean(frames) < 235
    assert np.abs(np.diff(np.stack(frames).astype(int), axis=0)).mean() > 0.05, "something moves"
    with path.open("rb") as file:
        head = file.read(4096)
    assert head.index(b"moov") < 4096, "the index comes first"


def test_the_same_command_again_does_nothing_and_a_change_runs_only_what_follows(run, place):
    said = vast("run", "vast_tiny", "--out", run, cache=place / "cache")
    assert said.count("nothing has changed") == 5
    said = vast("run", "vast_tiny", "stages.synthesize.seconds=1", "--out", run, cache=place / "cache")
    assert said.count("nothing has changed") == 4


def test_another_run_shares_what_was_prepared(run, place):
    words = ("run", "vast_tiny", "flow.use=none", "--stages", "prepare,style", "--out", place / "other")
    assert "prepared clips of an earlier run are used" in vast(*words, cache=place / "cache")


def test_old_weights_in_a_new_recipe_are_refused(run, place):
    old = place / "old"
    shutil.copytree(run, old)
    words = ("run", "vast_tiny", "style.size=16", "--stages", "evaluate", "--out", old)
    said = vast(*words, cache=place / "cache", expect=2)
    assert "depends on stage 'style', whose result in" in said
    assert "Traceback" not in said
    recipe = yaml.safe_load((old / "recipe.yaml").read_text())
    recipe["style"]["size"] = 16
    (old / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    video = next((run / "samples").glob("*.mp4"))
    said = vast(
        "synth", old, "--audio", video, "--style", "sample", "--out", place / "x.mp4", cache=place / "cache", expect=2
    )
    assert "style.safetensors: these weights belong to other components" in said
    assert "size style: 32 in the weights, 16 here" in said
    assert "Traceback" not in said


def test_inspect_shows_the_header(run, place):
    said = vast("inspect", run / "weights" / "style.safetensors", cache=place / "cache")
    assert "householder" in said


def test_styles_are_saved_listed_and_spoken_by_name(run, place):
    own = place / "named"
    shutil.copytree(run, own)
    video = next((run / "samples").glob("*.mp4"))
    cache = place / "empty"
    assert "has no named styles; `vast style save` adds one" in vast("style", "list", "--run", own, cache=cache)
    save = ("style", "save", "--run", own, "--seed", "3", "sample", "--name")
    assert "style happy: " in vast(*save, "happy", cache=cache)
    said = vast(*save, "happy", cache=cache, expect=2)
    assert "there is a style 'happy' already; choose another name, or overwrite it with --force" in said
    vast(*save, "happy", "--style-strength", "1.5", "--force", cache=cache)
    vast("style", "save", "happy:3", "sample:1", "--run", own, "--name", "mixed", cache=cache)
    vast("pack", own, place / "named.vast", cache=cache)
    for source in (own, place / "named.vast"):
        said = vast("style", "list", "--run", source, cache=cache)
        assert re.findall(r"^(\w+) +(.*)$", said, re.MULTILINE) == [
            ("happy", "1.5 times (1 sample)"),
            ("mixed", "3 happy + 1 sample"),
        ]
    said = vast(*save, "smiling", "--style-factor", "smile=+1", cache=cache, expect=2)
    assert "this avatar has no factors of style: its corpus named none, or had too few styles" in said
    speak = ("--audio", video, "--force", "--out")
    vast("synth", place / "named.vast", *speak, place / "d.mp4", "--style", "happy:0.5", cache=cache)
    strong = ("--style", "sample", "--seed", "3", "--style-strength", "1.5")
    vast("synth", own, *speak, place / "e.mp4", *strong, cache=cache)
    assert packets_of(place / "d.mp4") == packets_of(place / "e.mp4")
    said = vast("synth", own, *speak, place / "f.mp4", "--style", "hapy", cache=cache, expect=2)
    assert "this avatar has no style 'hapy'; it has happy, mixed" in " ".join(said.split())


def test_factors_are_told_alone_or_beside_a_prompt(run, place):
    own, cache = place / "told", place / "empty"
    shutil.copytree(run, own)
    vast("style", "save", "sample", "--run", own, "--name", "calm", cache=cache)
    calm = Style.load(own / "styles" / "calm.safetensors")
    learned = {"smile": Factor(low=-0.6, high=1.0, r2=0.987), "brow": Factor(low=-1.0, high=1.0, r2=0.5)}
    chance = torch.Generator().manual_seed(0)
    origin, directions = torch.randn(32, generator=chance), torch.randn(2, 32, generator=chance)
    sliders = Sliders(model=calm.model, styles=20, learned=learned, origin=origin, directions=directions)
    sliders.save(own / "weights" / "sliders.safetensors")
    said = vast("style", "list", "--run", own, cache=cache)
    assert re.findall(r"^(\w+) +(-?[\d.]+) +([\d.]+) +([\d.]+)$", said, re.MULTILINE) == [
        ("smile", "-0.60", "1.00", "0.99"),
        ("brow", "-1.00", "1.00", "0.50"),
    ]
    told = ("--style-factor", "smile=+1", "--style-factor", "brow=-0.5")
    for prompts, name, start in (((), "sly", origin), (("calm",), "calmly", calm.code)):
        vast("style", "save", *prompts, *told, "--run", own, "--name", name, cache=cache)
        saved = Style.load(own / "styles" / f"{name}.safetensors")
        assert torch.allclose(saved.code, start + directions[0] - directions[1] / 2)
    speak = ("synth", own, "--audio", next((run / "samples").glob("*.mp4")), "--force", "--out")
    for video, words in ((place / "told.mp4", told), (place / "named.mp4", ("--style", "sly"))):
        vast(*speak, video, *words, cache=cache)
    assert packets_of(place / "told.mp4") == packets_of(place / "named.mp4")
    for words, message in (
        (("--style-factor", "nose=1"), "the factor 'nose' is unknown; this avatar has smile, brow"),
        (("--style-factor", "smile=+2"), "the factor smile = 2: give a value from -1 to +1"),
        ((), "no style: give a prompt, or a factor with --style-factor, or both"),
    ):
        assert message in " ".join(vast(*speak, place / "no.mp4", *words, cache=cache, expect=2).split())


@pytest.mark.skipif(not (MODELS / "face_landmarker.task").is_file(), reason="face_landmarker.task is not here")
def test_the_avatar_speaks_new_audio_in_new_styles(run, place):
    video = next((run / "samples").glob("*.mp4"))
    base = ("synth", run, "--audio", video, "--out")
    words = ("--style", f"{video}:0.7", "--style", "sample:0.3", "--style-strength", "1.3", "--seed", "4")
    said = vast(*base, place / "new" / "a.mp4", *words, cache=place / "cache")
    assert "alma" in said or "speaks" in said
    vast(*base, place / "b.mp4", *words, cache=place / "cache")
    assert packets_of(place / "new" / "a.mp4") == packets_of(place / "b.mp4"), "same seed, same video"
    said = vast(*base, place / "b.mp4", *words, cache=place / "cache", expect=2)
    assert "b.mp4: exists; name another file, or overwrite it with --force" in said
    said = vast(*base, video, "--force", *words, cache=place / "cache", expect=2)
    assert "would be overwritten" in said
    vast("pack", run, place / "alma.vast", cache=place / "cache")
    said = vast("synth", place / "alma.vast", *base[2:], place / "p.mp4", *words, cache=place / "empty")
    assert packets_of(place / "p.mp4") == packets_of(place / "b.mp4")
    assert not (place / "empty").exists()
    said = vast(*base, place / "c.mp4", "--style", place / "none.mp4", cache=place / "cache", expect=2)
    assert "none.mp4" in said
    assert not (place / "c.mp4").exists()
