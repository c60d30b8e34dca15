"""What the studio says of a clip: words for measurements, and measurements of clips whose faults are known."""

from __future__ import annotations

import os

import attrs
import cv2
import numpy as np
import pytest

from vast_core.interfaces import SAMPLE_RATE, FaceTrack
from vast_core.media import VideoFile, VideoWriter, shift_wave
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import PrepareStage, Registry, StyleStage
from vast_core.speak.style_model import StyleModel
from vast_core.speak.trained import load_face, load_style_file
from vast_live.studio.findings import Seen, judged
from vast_live.studio.in_time import with_sound_moved
from vast_live.studio.lateness import lateness
from vast_live.studio.looking import look
from vast_live.studio.project import Place, Project

FINE = Seen(
    seconds=30.0,
    fps=30.0,
    face_seconds=29.0,
    face_share=1.0,
    width=300.0,
    shots=1,
    people=1,
    bright=180.0,
    sound="heard",
    level=-20.0,
    late=0.01,
)


def test_a_fine_clip_is_praised_for_everything():
    assert {finding.level for finding in judged(FINE)} == {"good"}
    assert len(judged(FINE)) == 4


@pytest.mark.parametrize(
    ("changes", "level", "title"),
    [
        ({"shots": 0, "trouble": "0 of 90 frames show a face"}, "stop", "No face was found"),
        ({"shots": 0, "trouble": "one whose mouth is covered most of the time"}, "stop", "Your mouth is covered"),
        ({"face_seconds": 0.6}, "stop", "A face is seen for only 0.6 s"),
        ({"face_seconds": 6.2}, "weak", "The clip is short: 6 s"),
        ({"shots": 3}, "weak", "The clip is cut into 3 pieces"),
        ({"people": 2}, "weak", "2 faces are in the picture"),
        ({"face_share": 0.8}, "weak", "Your face is away for 20 % of the time"),
        ({"width": 80.0}, "weak", "Your face is small: 80 pixels wide"),
        ({"bright": 60.0}, "weak", "It is too dark"),
        ({"glare": 0.2}, "weak", "It is too bright"),
        ({"covered": 0.3}, "weak", "Your mouth is covered for 30 % of the time"),
        ({"fps": 12.0}, "weak", "The clip has only 12 pictures a second"),
        ({"sound": "none"}, "stop", "The clip has no sound"),
        ({"sound": "silent"}, "stop", "The sound is silent"),
        ({"level": -50.0}, "weak", "Your voice is very quiet"),
        ({"clipped": 0.1}, "weak", "The sound is too loud"),
        ({"late": None}, "weak", "Voice and lips could not be compared"),
        ({"late": 0.2}, "weak", "The sound is 0.20 s late"),
        ({"late": -0.31}, "weak", "The sound is 0.31 s early"),
    ],
)
def test_each_fault_is_told_first_and_with_advice(changes, level, title):
    first = judged(attrs.evolve(FINE, **changes))[0]
    assert (first.level, first.title) == (level, title)
    assert len(first.advice) > 20


def test_sound_is_moved_and_pictures_stay(tmp_path):
    wave = np.zeros(3 * SAMPLE_RATE, np.float32)
    wave[SAMPLE_RATE:][:1600] = 0.5 * np.sin(np.arange(1600) * 0.4)
    with VideoWriter(tmp_path / "a.mp4", 25.0, wave) as writer:
        for number in range(75):
            writer.write(np.full((48, 64, 3), 250 if number == 25 else 20, np.uint8))
    for seconds in (-0.4, 0.4):
        with_sound_moved(tmp_path / "a.mp4", tmp_path / "b.mp4", seconds)
        moved = VideoFile(tmp_path / "b.mp4", 25.0)
        loud = np.flatnonzero(np.abs(moved.wave()) > 0.2)[0] / SAMPLE_RATE
        light = [number for number, frame in enumerate(moved.frames()) if frame.mean() > 200]
        assert abs(loud - (1 + seconds)) < 0.01
        assert light == [25]


@pytest.fixture(scope="module")
def corpus():
    """Clips of the synthetic corpus, with their true tracks."""
    registry = Registry.discover()
    return list(assemble(load_recipe("vast_tiny", registry), registry).corpus.clips())


def joined(clips):
    """The tracks and the sound of clips, one after the other, as if they were filmed in one go."""
    rows = {
        name: np.concatenate([getattr(clip.track, name) for clip in clips]) for name in ("vertices", "pose", "valid")
    }
    waves = []
    for clip in clips:
        wave, own = np.zeros(round(len(clip.track) / 25 * SAMPLE_RATE), np.float32), clip.footage.wave()
        wave[: len(own)] = own[: len(wave)]
        waves.append(wave)
    return FaceTrack(**rows), np.concatenate(waves)


def test_how_late_sound_is_is_read_off_the_lips(corpus):
    registry = Registry.discover()
    recipe = load_recipe("vast_quick", registry, ["corpus.path=."])
    pipeline = assemble(recipe, registry)
    load_face(recipe.options("prepare", PrepareStage).face.parent, pipeline)
    model = StyleModel(pipeline)
    load_style_file(recipe.options("style", StyleStage).start, model, pipeline)
    model.eval()
    clips = [clip for clip in corpus if clip.speaker == "alma"]
    track, wave = joined(clips[:4])
    found = [lateness(track, shift_wave(wave, -ms), pipeline, model) for ms in (0, 200, -160)]
    assert abs(found[0]) < 0.04
    np.testing.assert_allclose(np.array(found[1:]) - found[0], [0.2, -0.16], atol=0.02)
    _, foreign = joined(clips[4:8])
    assert lateness(track, foreign, pipeline, model) is None


@pytest.mark.slow
@pytest.mark.skipif("VAST_WEIGHTS" not in os.environ, reason="needs face_landmarker.task: set VAST_WEIGHTS")
def test_faults_of_a_clip_are_found(corpus, tmp_path):
    place = Place(tmp_path)
    (place.footage / "me").mkdir(parents=True)
    speakers = {clip.speaker: clip for clip in corpus if len(clip.track) > 50}
    pairs = zip(*(clip.footage.frames() for clip in list(speakers.values())[:2]), strict=False)
    with VideoWriter(place.footage / "me" / "clip.mp4", 25.0) as writer:
        for number, (one, other) in enumerate(pairs):
            if number == 50:
                break
            large = one.repeat(2, axis=0).repeat(2, axis=1)
            small = np.pad(other, ((len(large) - len(other), 0), (0, 0), (0, 0)))
            writer.write(np.hstack([large, small]) // 4)
    found = look(Project(id="0" * 16, name="me", added=0.0, clip="me/clip.mp4"), place)
    titles = [finding.title for finding in found.findings]
    assert titles[0] == "The clip has no sound"
    assert {"2 faces are in the picture", "It is too dark", "The clip is short: 2.0 s"} <= set(titles)
    assert not found.usable
    assert len(found.pictures) == 5
    brightest = [int(cv2.imread(str(place.pictures / name)).max()) for name in found.pictures]
    assert min(brightest) > 100, "the mesh is drawn over dark frames"
