"""One clip under two names is found by what it shows, and kept once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vast_core.interfaces import FaceTrack
from vast_core.media import VideoFile, VideoWriter
from vast_core.media.same_footage import doubles, glimpse
from vast_core.mesh import canonical_face
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.stages import StageContext

FRAMES, SIZE = 100, 128


def scene(seed, frames=FRAMES):
    """A still room that becomes lighter, in which someone moves; another seed moves otherwise in the same room."""
    room = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (SIZE, SIZE, 3)), (0, 0), 9) * 0.8
    path = np.random.default_rng(seed).normal(size=(frames + 20, 2))
    path = SIZE / 2 + 25 * np.stack([np.convolve(axis, np.hanning(12), "same")[20:] / 4 for axis in path.T], 1)
    for number, (x, y) in enumerate(path):
        image = (room + number / 4).astype(np.uint8)
        yield cv2.circle(image, (round(x), round(y)), 24, (200, 150, 120), -1)


def write(path, frames, **more):
    with VideoWriter(path, 25, **more) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def glimpses(path):
    return np.array([glimpse(frame) for frame in VideoFile(path, 25).frames()])


def smaller(frames):
    return [cv2.resize(frame, (90, 90), interpolation=cv2.INTER_AREA) for frame in frames]


def test_a_clip_is_found_in_another_size_quality_and_length_and_its_neighbour_is_not(tmp_path):
    clip = list(scene(1))
    found = doubles(
        {
            "clip": glimpses(write(tmp_path / "clip.mp4", clip)),
            "neighbour": glimpses(write(tmp_path / "neighbour.mp4", scene(2))),
            "smaller": glimpses(write(tmp_path / "smaller.mp4", smaller(clip), crf=34)),
            "cut": glimpses(write(tmp_path / "cut.mp4", clip[17:80], crf=30)),
            "little of it": glimpses(write(tmp_path / "little.mp4", [*clip[-30:], *scene(3, 60)])),
        }
    )
    assert found == {"smaller": "clip", "cut": "clip"}


def test_clips_in_which_nothing_moves_are_not_compared():
    still = np.full((50, 64), 100, np.float32)
    assert doubles({"one": still, "other": still}) == {}


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """The prepared clips of a folder, with a tracker that finds the same face everywhere."""
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    registry = Registry.discover(environ={})
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "vast: 1\nbase: vast_footage\nrun: [prepare]\nstages: {prepare: {synchronise: false}}\n"
        f"audio: {{use: mel}}\ncorpus: {{use: folder, path: {tmp_path / 'footage'}, manifest: manifest.csv}}\n"
    )

    def prepare(rows):
        (tmp_path / "footage/manifest.csv").write_text("file,split\n" + rows)
        loaded = load_recipe(recipe, registry)
        pipeline = assemble(loaded, registry)

        def track(self, frames, fps):
            count = sum(1 for _ in frames)
            moved = canonical_face().vertices + np.random.default_rng(0).normal(0, 0.1, (count, 468, 3))
            pose = np.tile(np.eye(3, 4, dtype=np.float32), (count, 1, 1))
            return [FaceTrack(vertices=moved.astype(np.float32), pose=pose, valid=np.ones(count, bool))]

        monkeypatch.setattr(type(pipeline.face), "track", track)
        run = run_recipe(loaded, registry, tmp_path / "run")
        return StageContext(run=run, pipeline=pipeline, console=None).store

    return prepare


def test_a_clip_in_train_and_held_out_is_held_out_only_and_listed(tmp_path, prepared):
    wave = np.random.default_rng(0).normal(0, 0.1, FRAMES * 640).astype(np.float32)
    clip = list(scene(1))
    write(tmp_path / "footage/ann_1.mp4", clip, wave=wave)
    write(tmp_path / "footage/ann_2.mp4", scene(2), wave=wave)
    write(tmp_path / "footage/ben_7.mp4", smaller(clip), wave=wave, crf=30)
    store = prepared("ann_1.mp4,train\nann_2.mp4,train\nben_7.mp4,held_out\n")
    assert {clip.name: clip.split for clip in store.clips} == {"ann_2": "train", "ben_7": "held_out"}
    assert [(item.clip, item.reason) for item in store.rejected] == [
        ("ann_1", "shows the same as ben_7, which is kept")
    ]
    other = prepared("ann_1.mp4,held_out\nann_2.mp4,train\nben_7.mp4,train\n")
    assert {clip.name: clip.split for clip in other.clips} == {"ann_1": "held_out", "ann_2": "train"}


def test_of_copies_that_with_sound_is_kept_though_a_mute_one_is_longer_and_comes_first(tmp_path, prepared):
    wave = np.random.default_rng(0).normal(0, 0.1, FRAMES * 640).astype(np.float32)
    clip = list(scene(1))
    write(tmp_path / "footage/ann_0.mp4", clip)
    write(tmp_path / "footage/ann_1.mp4", clip, wave=np.zeros_like(wave))
    write(tmp_path / "footage/ann_2.mp4", clip[:80], wave=wave[: 80 * 640])
    store = prepared("ann_0.mp4,train\nann_1.mp4,train\nann_2.mp4,train\n")
    assert [(clip.name, clip.heard) for clip in store.clips] == [("ann_2", True)]
    assert {item.clip for item in store.rejected} == {"ann_0", "ann_1"}
