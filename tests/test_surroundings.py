"""Faults of the environment, such as a full disk, end a stage; they are never recorded as faults of a clip."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import numpy as np
import pytest

from vast_core import errors
from vast_core.errors import InputError, MediaError, UnreachableError, WeightsError
from vast_core.media import VideoFile, VideoWriter, file_digest
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe


@pytest.fixture
def folder(tmp_path):
    """Two clips of noise."""
    place = tmp_path / "footage"
    place.mkdir()
    for number in range(2):
        frames = np.random.default_rng(number).integers(0, 255, (30, 96, 96, 3), np.uint8)
        with VideoWriter(place / f"a_{number}.mp4", 25, np.zeros(16000, np.float32)) as writer:
            for frame in frames:
                writer.write(frame)
    return place


@pytest.fixture
def prepare(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    registry = Registry.discover(environ={})
    recipe = load_recipe("vast_footage", registry, [f"corpus={{use: folder, path: {folder}}}"])
    return lambda: run_recipe(recipe, registry, tmp_path / "out", stages=["prepare"])


def nothing_is_written_down(tmp_path: Path) -> bool:
    record = tmp_path / "out" / "stages" / "prepare.json"
    return not record.exists() and not list(tmp_path.glob("cache/prepared/*/index.json"))


def test_missing_weights_end_the_stage_after_one_download(prepare, tmp_path, monkeypatch):
    tried = []

    def download():
        tried.append(1)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("vast_faces.weights._download", download)
    monkeypatch.setattr("vast_faces.weights._failures", {})
    monkeypatch.setattr("vast_faces.weights.cache_file", lambda: tmp_path / "nowhere.task")
    monkeypatch.delenv("VAST_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match="no network"):
        prepare()
    assert (tried, nothing_is_written_down(tmp_path)) == ([1], True)


@pytest.mark.parametrize("error", errors.SURROUNDINGS)
def test_a_fault_of_the_surroundings_ends_the_stage(prepare, tmp_path, monkeypatch, error):
    def track(face, frames, fps):
        raise error("it is away")

    monkeypatch.setattr("vast_faces.landmarks.LandmarkFace.track", track)
    with pytest.raises(error, match="it is away"):
        prepare()
    assert nothing_is_written_down(tmp_path)


@pytest.mark.parametrize("error", [InputError, MediaError])
def test_a_fault_of_clips_is_told_with_their_names(prepare, monkeypatch, error):
    def track(face, frames, fps):
        raise error("shows a cat")

    monkeypatch.setattr("vast_faces.landmarks.LandmarkFace.track", track)
    with pytest.raises(InputError, match=r"(?s)no clip of the corpus can be used.*a_0, a_1: shows a cat"):
        prepare()


def test_a_file_that_vanishes_after_it_was_listed_is_no_fault_of_the_clip(prepare, folder, tmp_path, monkeypatch):
    def track(face, frames, fps):
        for file in folder.glob("*.mp4"):
            file.unlink(missing_ok=True)
        return list(frames)

    monkeypatch.setattr("vast_faces.landmarks.LandmarkFace.track", track)
    with pytest.raises(UnreachableError, match=r"a_0\.mp4: there is no such file"):
        prepare()
    assert nothing_is_written_down(tmp_path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [(PermissionError(13, "denied"), "may not be read"), (OSError(5, "Input/output error"), "is its disk there")],
)
def test_what_the_disk_does_not_give_is_no_bad_video(folder, monkeypatch, fault, message):
    def refuse(*_, **__):
        raise fault

    file = folder / "a_0.mp4"
    footage = VideoFile(file, 25)
    monkeypatch.setattr(Path, "open", refuse)
    for read in (lambda: next(footage.frames()), footage.wave, lambda: file_digest(file)):
        with pytest.raises(UnreachableError, match=rf"a_0\.mp4: .*{message}"):
            read()
