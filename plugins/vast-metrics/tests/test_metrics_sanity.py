"""What each distortion does to each measure of vertices, on the synthetic corpus' true tracks.

How a table is read is said in ``conftest.py``.
"""

from __future__ import annotations

import attrs
import pytest
import torch

from vast_core.interfaces import Performance
from vast_core.stages.prepare import canonical
from vast_corpora.config import SyntheticConfig
from vast_corpora.synthetic import SyntheticCorpus
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace

FRAMES = 60
METRICS = ("lip_vertex_error", "lip_correlation", "landmark_distance", "upper_face_dynamics", "motion_stability")
TABLE = """
measure                    | identical | other clip | 2 frames late | lips frozen | jitter | mouth halved | brows raised
lip_vertex_error           | = 0       | > 30       | > 5           | > 5         | > 0.5  | > 2          | =
lip_correlation            | = 1       | < 0.4      | < 0.8         | = 0         | < 1    | > 0.99       | > 0.99
landmark_distance_mouth    | = 0       | > 2        | > 0.3         | > 0.5       | > 0.3  | > 0.3        | =
landmark_distance_face     | = 0       | > 2        | > 0.1         | > 0.1       | > 0.3  | > 0.05       | > 1
upper_face_dynamics        | = 0       | .          | .             | =           | .      | =            | .
motion_stability           | =         | .          | .             | = 1e6       | < 1    | .            | =
motion_stability_deviation | = 0       | .          | -1 .. 1       | > 40        | < -3   | > 1          | =
"""


@pytest.fixture(scope="module")
def clips():
    """A sentence by each of four speakers, in four styles."""
    corpus = SyntheticCorpus(SyntheticConfig(styles=4, held_out_styles=0, sentences=1, avatar_seconds=0.0), 25.0)
    face, shapes = LandmarkFace(LandmarksConfig()), {s.name: s.shape for s in corpus.speakers}
    chosen = [clip for clip in corpus.clips() if clip.split == "train"][::5]
    assert {clip.speaker for clip in chosen} == set(shapes)
    return [
        Performance(
            face=face,
            fps=25.0,
            vertices=canonical(clip.track)[:FRAMES],
            neutral=torch.from_numpy(shapes[clip.speaker]).float(),
            pose=torch.from_numpy(clip.track.pose)[:FRAMES],
            name=clip.name,
            speaker=clip.speaker,
        )
        for clip in chosen
    ]


def moved(where, change):
    """Distortion: the face's vertices ``where`` (lips, upper_face, ...), changed from (T, v, 3) to (T, v, 3)."""

    def distort(clip, other):
        vertices, index = clip.vertices.clone(), torch.from_numpy(getattr(clip.face, where))
        vertices[:, index] = change(vertices[:, index], clip.neutral[index])
        return attrs.evolve(clip, vertices=vertices)

    return distort


def all_moved(change):
    return lambda clip, other: attrs.evolve(clip, vertices=change(clip.vertices))


def jittered(vertices):
    return vertices + 0.05 * torch.randn(vertices.shape, generator=torch.Generator().manual_seed(1))


DISTORTIONS = {
    "identical": lambda clip, other: clip,
    "other clip": lambda clip, other: other,
    "2 frames late": all_moved(lambda v: torch.cat([v[:1], v[:1], v[:-2]])),
    "lips frozen": moved("lips", lambda lips, neutral: lips[:1].expand_as(lips)),
    "jitter": all_moved(jittered),
    "mouth halved": moved("lips", lambda lips, neutral: neutral + 0.5 * (lips - neutral)),
    "brows raised": moved("upper_face", lambda upper, neutral: upper + torch.tensor([0.0, 0.5, 0.0])),
}


def test_the_table_is_whole(complete):
    assert complete


def test_cell(cell, measured):
    cell.check(measured)
