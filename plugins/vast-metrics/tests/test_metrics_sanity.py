"""What each distortion does to each measure of vertices, on the synthetic corpus' true tracks.

How a table is read is said in ``conftest.py``. The prompt of each clip is another sentence by another speaker in its
style; its takes are its own words in all styles; the second third of its sound is silent.
"""

from __future__ import annotations

import attrs
import pytest
import torch

from vast_core.interfaces import SAMPLE_RATE, Performance, unposed
from vast_corpora.config import SyntheticConfig
from vast_corpora.synthetic import SyntheticCorpus
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace

FRAMES = 60
METRICS = (
    "lip_vertex_error",
    "lip_correlation",
    "lip_size",
    "lip_closing",
    "rest_in_silence",
    "landmark_distance",
    "upper_face_dynamics",
    "motion_stability",
    "blink_rate",
    "head_motion",
    "identity_drift",
    "lips_in_silence",
    "style_distance",
    "style_retrieval",
    "style_diversity",
)
TABLE = """
measure                    | identical | other clip | late        | lips frozen | jitter
lip_vertex_error           | = 0       | > 50       | > 8         | > 25        | 1 .. 5
lip_correlation            | = 1       | < 0.4      | < 0.8       | = 0         | 0.95 .. 0.99
lip_size                   | = 1       | .          | 0.97 .. 1.1 | = 0         | 0.9 .. 1.1
lip_size_deviation         | = 0       | size > 0.2 | -0.1 .. 0.1 | = -1        | -0.1 .. 0.1
lip_closing                | = 1       | < 0.6      | < 0.8       | .           | 0.7 .. 0.95
lip_closing_wrong          | = 0       | > 0.2      | > 0.1       | .           | < 0.05
rest_opening               | = 1       | .          | 0.9 .. 1.1  | .           | 0.9 .. 1.1
rest_opening_deviation     | = 0       | .          | -0.1 .. 0.1 | .           | -0.1 .. 0.1
rest_motion                | = 1       | .          | 0.9 .. 1.1  | = 0         | > 1.5
landmark_distance_mouth    | = 0       | > 4        | > 1         | > 2         | 0.7 .. 0.9
landmark_distance_face     | = 0       | > 2        | > 0.3       | > 0.2       | 0.7 .. 0.9
upper_face_dynamics        | = 0       | size > 0.3 | -0.2 .. 0.2 | =           | < -0.3
motion_stability           | 1 .. 3    | .          | 1 .. 3      | = 1e6       | < 0.6
motion_stability_deviation | = 0       | size > 1   | -1 .. 1     | > 40        | < -3
blink_rate                 | = 12.5    | .          | =           | =           | =
blink_rate_deviation       | = 0       | size > 10  | =           | =           | =
head_motion                | 10 .. 12  | .          | 9 .. 12     | =           | =
head_motion_deviation      | = 0       | size > 1   | -1 .. 1     | =           | =
identity_distance          | = 0       | > 1        | < 0.05      | =           | < 0.2
identity_drift             | < 0.15    | .          | < 0.15      | =           | .
lips_in_silence            | 30 .. 50  | .          | 30 .. 50    | = 0         | > 45
lips_in_silence_deviation  | = 0       | size > 5   | -2 .. 2     | < -30       | > 7
style_distance             | < 1.2     | > 3        | < 1.2       | > 4         | > 2
style_retrieval            | = 1       | = 0        | = 1         | < 0.8       | .
style_retrieval_chance     | = 0.25    | = 0.25     | = 0.25      | = 0.25      | = 0.25
style_diversity            | 1 .. 3    | =          | =           | =           | =

measure                    | mouth halved | brows raised | lids frozen | head still
lip_vertex_error           | > 8          | =            | =           | =
lip_correlation            | =            | =            | =           | =
lip_size                   | = 0.5        | =            | =           | =
lip_size_deviation         | = -0.5       | =            | =           | =
lip_closing                | > 0.99       | =            | =           | =
lip_closing_wrong          | > 0.3        | =            | =           | =
rest_opening               | = 0.5        | =            | =           | =
rest_opening_deviation     | = -0.5       | =            | =           | =
rest_motion                | = 0.25       | =            | =           | =
landmark_distance_mouth    | > 1          | =            | =           | =
landmark_distance_face     | > 0.1        | > 1          | 0 .. 0.02   | =
upper_face_dynamics        | =            | < -1         | 0.1 .. 1    | =
motion_stability           | > 4          | =            | =           | =
motion_stability_deviation | 5.9 .. 6.1   | =            | =           | =
blink_rate                 | =            | =            | = 0         | =
blink_rate_deviation       | =            | =            | < -10       | =
head_motion                | =            | =            | =           | = 0
head_motion_deviation      | =            | =            | =           | < -8
identity_distance          | =            | =            | =           | =
identity_drift             | =            | =            | =           | =
lips_in_silence            | 15 .. 25     | =            | =           | =
lips_in_silence_deviation  | < -15        | =            | =           | =
style_distance             | > 1.5        | > 1.5        | 0.9 .. 1.2  | =
style_retrieval            | = 1          | = 1          | = 1         | = 1
style_retrieval_chance     | = 0.25       | = 0.25       | = 0.25      | = 0.25
style_diversity            | =            | =            | =           | =

measure                    | other's face  | face drifts   | other style | one take
lip_vertex_error           | > 8           | > 3           | > 5         | =
lip_correlation            | > 0.999       | > 0.999       | 0.8 .. 0.98 | =
lip_size                   | 0.99 .. 1.01  | 0.99 .. 1.01  | .           | =
lip_size_deviation         | size < 0.1    | size < 0.1    | size > 0.05 | =
lip_closing                | > 0.95        | > 0.95        | 0.7 .. 0.99 | =
lip_closing_wrong          | < 0.05        | < 0.05        | < 0.3       | =
rest_opening               | 0.99 .. 1.01  | 0.99 .. 1.01  | 0.8 .. 1.2  | =
rest_opening_deviation     | -0.01 .. 0.01 | -0.01 .. 0.01 | -0.2 .. 0.2 | =
rest_motion                | =             | 0.99 .. 1.01  | > 1.1       | =
landmark_distance_mouth    | > 1           | > 0.5         | > 0.8       | =
landmark_distance_face     | > 1           | > 0.5         | > 0.3       | =
upper_face_dynamics        | size > 0.2    | < -0.5        | size > 0.1  | =
motion_stability           | =             | =             | .           | =
motion_stability_deviation | =             | =             | size > 0.5  | =
blink_rate                 | =             | =             | =           | =
blink_rate_deviation       | =             | =             | =           | =
head_motion                | =             | =             | =           | =
head_motion_deviation      | =             | =             | =           | =
identity_distance          | > 1           | > 0.5         | < 0.5       | =
identity_drift             | < 0.15        | > 0.8         | < 0.15      | =
lips_in_silence            | =             | 30 .. 50      | .           | =
lips_in_silence_deviation  | =             | -0.2 .. 0.2   | size > 1    | =
style_distance             | < 2           | < 1.5         | > 1.5       | =
style_retrieval            | = 1           | = 1           | < 0.8       | =
style_retrieval_chance     | = 0.25        | = 0.25        | = 0.25      | = 0.25
style_diversity            | =             | =             | =           | = 0
"""


@pytest.fixture(scope="module")
def clips():
    """A sentence by each of four speakers, in four styles."""
    corpus = SyntheticCorpus(SyntheticConfig(styles=4, held_out_styles=0, sentences=1, avatar_seconds=0.0), 25.0)
    face, shapes = LandmarkFace(LandmarksConfig()), {s.name: torch.from_numpy(s.shape).float() for s in corpus.speakers}
    trained = [clip for clip in corpus.clips() if clip.split == "train"]

    def performance(clip, **more):
        return Performance(
            face=face,
            fps=25.0,
            vertices=unposed(clip.track)[:FRAMES],
            neutral=shapes[clip.speaker],
            pose=torch.from_numpy(clip.track.pose)[:FRAMES],
            name=clip.name,
            speaker=clip.speaker,
            style=clip.style,
            **more,
        )

    def recorded(clip):
        wave = torch.from_numpy(clip.footage.wave()).clone()
        third = FRAMES * SAMPLE_RATE // 75
        wave[third : 2 * third] = 0
        prompt = next(other for other in trained if other.style == clip.style and other.speaker != clip.speaker)
        takes = tuple(unposed(corpus.counterfactual(clip, style).track)[:FRAMES] for style in corpus.styles)
        return performance(clip, wave=wave, prompt=performance(prompt), takes=takes)

    chosen = [recorded(clip) for clip in trained[::5]]
    assert {clip.speaker for clip in chosen} == set(shapes)
    assert {clip.style for clip in chosen} == set(corpus.styles)
    return chosen


def moved(where, change):
    """Distortion: the face's vertices ``where`` (lips, upper_face, ...), changed from (T, v, 3) to (T, v, 3)."""

    def distort(clip, other):
        vertices, index = clip.vertices.clone(), torch.from_numpy(getattr(clip.face, where))
        vertices[:, index] = change(vertices[:, index], clip.neutral[index])
        return attrs.evolve(clip, vertices=vertices)

    return distort


def changed(change):
    """Distortion: what ``change`` makes of the clip and the other."""
    return lambda clip, other: attrs.evolve(clip, **change(clip, other))


def another_clip(clip, other):
    return attrs.evolve(other, prompt=clip.prompt)


def late(clip, other):
    vertices, pose = (torch.cat([x[:1], x[:1], x[:-2]]) for x in (clip.vertices, clip.pose))
    return {"vertices": vertices, "pose": pose}


def jittered(clip, other):
    noise = torch.randn(clip.vertices.shape, generator=torch.Generator().manual_seed(1))
    return {"vertices": clip.vertices + 0.05 * noise}


def drifting(clip, other):
    share = torch.linspace(0, 1, FRAMES)[:, None, None]
    return {"vertices": clip.vertices + share * (other.neutral - clip.neutral)}


def first(x, neutral):
    return x[:1].expand_as(x)


DISTORTIONS = {
    "identical": lambda clip, other: clip,
    "other clip": another_clip,
    "late": changed(late),
    "lips frozen": moved("lips", first),
    "jitter": changed(jittered),
    "mouth halved": moved("lips", lambda lips, neutral: neutral + 0.5 * (lips - neutral)),
    "brows raised": moved("upper_face", lambda upper, neutral: upper + torch.tensor([0.0, 0.5, 0.0])),
    "lids frozen": moved("eyes", first),
    "head still": changed(lambda clip, other: {"pose": clip.pose[:1].expand_as(clip.pose)}),
    "other's face": changed(lambda clip, other: {"vertices": clip.vertices - clip.neutral + other.neutral}),
    "face drifts": changed(drifting),
    "other style": changed(lambda clip, other: {"vertices": clip.takes[clip.style == "style-01"]}),
    "one take": changed(lambda clip, other: {"takes": clip.takes[:1] * 4}),
}


def test_the_table_is_whole(complete):
    assert complete


def test_cell(cell, measured):
    cell.check(measured)
