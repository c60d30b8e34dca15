"""A small folder of videos taken through real runs: what a manifest, a name or the shell's folder changes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from vast_core.errors import InputError
from vast_core.media import VideoWriter
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs import load_weights

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("VAST_WEIGHTS", ROOT.parent / "shared" / "models"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (MODELS / "face_landmarker.task").is_file(), reason="face_landmarker.task is not here"),
]

RECIPE = """
vast: 1
base: vast_footage
corpus: {use: folder, path: footage, manifest: manifest.csv}
run: [prepare, style, renderer]
renderer: {use: cgan_convlstm, size: 64, width: 8}
stages:
  prepare: {synchronise: false}
  style: {steps: 2, batch: 2}
  renderer: {steps: 1, batch: 1, frames: 4}
"""


@pytest.fixture(scope="module")
def registry():
    return Registry.discover(environ={})


@pytest.fixture
def place(tmp_path, registry, monkeypatch):
    """A folder with a recipe and two clips of one speaker, one of them held out."""
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VAST_WEIGHTS", str(MODELS))
    recipe = load_recipe("vast_tiny", registry, ["corpus.image=192"])
    clips = [clip for clip in assemble(recipe, registry).corpus.clips() if clip.speaker == "alma"][:2]
    (tmp_path / "a" / "footage").mkdir(parents=True)
    for number, clip in enumerate(clips):
        with VideoWriter(tmp_path / "a" / "footage" / f"alma_{number}.mp4", 25, clip.footage.wave()) as writer:
            for frame in clip.footage.frames():
                writer.write(frame)
    (tmp_path / "a" / "r.yaml").write_text(RECIPE)
    manifest(tmp_path, "alma_0", "alma_1")
    return tmp_path


def manifest(place: Path, trained: str, held_out: str) -> None:
    rows = f"file,split\n{trained}.mp4,train\n{held_out}.mp4,held_out\n"
    (place / "a" / "footage" / "manifest.csv").write_text(rows)


def test_what_a_run_notices(place, registry, monkeypatch):
    def run():
        done = run_recipe(load_recipe(place / "a" / "r.yaml", registry), registry, place / "out")
        records = {stage: done.record(stage) for stage in ("prepare", "style", "renderer")}
        return {stage: record["finished"] + record["key"] for stage, record in records.items()}, load_weights(
            place / "out" / "weights" / "style.safetensors"
        )[0]["decoder.linear.weight"]

    monkeypatch.chdir(place / "a")
    first, weights = run()
    (place / "b").mkdir()
    monkeypatch.chdir(place / "b")
    assert run()[0] == first, "all is kept, whatever the shell's folder"
    resolved = load_recipe(place / "out" / "recipe.yaml", registry)
    assert resolved.corpus.config.path == place / "a" / "footage"
    manifest(place, "alma_1", "alma_0")
    swapped, others = run()
    assert not set(swapped.values()) & set(first.values()), "train and held out swapped: all runs again"
    assert not weights.equal(others)
    for number in range(2):
        os.rename(place / f"a/footage/alma_{number}.mp4", place / f"a/footage/alma_{number + 2}.mp4")
    manifest(place, "alma_3", "alma_2")
    renamed, same = run()
    assert not set(renamed.values()) & set(swapped.values()), "renamed files are prepared anew"
    assert same.equal(others), "and are what they were"
    assert json.loads((place / "cache/prepared" / renamed["prepare"][-20:] / "index.json").read_text())["clips"]
    shutil.rmtree(place / "a" / "footage")
    with pytest.raises(InputError, match=r"a/footage/manifest\.csv: .*cannot be read"):
        run()
