"""The neutral face of somebody who smiles all along, against faces made of a known shape and known expressions."""

import numpy as np
import pytest
import torch

from vast_core.interfaces import FaceTrack
from vast_core.mesh import canonical_face
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace
from vast_faces.neutral import GAIN, Reading, ReadingMoments

V, SCORES = 468, 52
CHANCE = np.random.default_rng(5)
SMILES = 0.4 * CHANCE.standard_normal((SCORES, V, 3))
"""What each score does to every face."""
NEUTRAL = CHANCE.uniform(0.1, 0.3, SCORES)
POSE = np.concatenate([np.diag([3.0, -3.0, -3.0]), [[90.0], [80.0], [0.0]]], axis=1)


def person(seed):
    return canonical_face().vertices + 0.3 * np.random.default_rng(seed).standard_normal((V, 3))


def clip(shape, seed, lasting=0.0, frames=120):
    """A track of a person with ``shape`` whose scores wander about the neutral ones, ``lasting`` away from them.

    The scores have errors, so that a regression on them finds 1 / GAIN of what they do.
    """
    chance = np.random.default_rng(seed)
    true = NEUTRAL + lasting * chance.standard_normal(SCORES) + 0.05 * chance.standard_normal((frames, SCORES))
    scores = true + 0.05 * np.sqrt(GAIN - 1) * chance.standard_normal((frames, SCORES))
    moved = shape + np.einsum("ts,svc->tvc", true - NEUTRAL, SMILES)
    vertices = moved @ POSE[:, :3].T + POSE[:, 3]
    return FaceTrack(
        vertices=vertices.astype(np.float32),
        pose=np.repeat(POSE[None], frames, 0).astype(np.float32),
        valid=np.ones(frames, bool),
        coefficients={"scores": scores.astype(np.float32)},
    )


@pytest.fixture(scope="module")
def face():
    """A face that has learned from 60 people, who together show neutral scores."""
    found = LandmarkFace(LandmarksConfig())
    found.learn_neutral([clip(person(n), n, 0.02) for n in range(60)], [f"person {n}" for n in range(60)])
    return found


def test_a_lasting_expression_is_no_part_of_the_neutral_face(face):
    shape, smiling = person(900), clip(person(900), 901, lasting=0.15)
    found = face.identity([smiling])
    seen = np.median((smiling.vertices - POSE[:, 3]) @ np.linalg.inv(POSE[:, :3]).T, axis=0)
    assert np.abs(seen - shape).mean() > 0.3  # the median has the smile
    assert np.abs(found - shape).mean() < 0.1 * np.abs(seen - shape).mean()


def test_tracks_without_scores_have_their_median(face):
    track = clip(person(900), 901, lasting=0.15)
    bare = FaceTrack(vertices=track.vertices, pose=track.pose, valid=track.valid)
    seen = (track.vertices - POSE[:, 3]) @ np.linalg.inv(POSE[:, :3]).T
    np.testing.assert_allclose(face.identity([bare]), np.median(seen, axis=0), atol=1e-4)


def test_a_clip_without_scores_does_not_spoil_one_that_has_them(face):
    track = clip(person(900), 901, lasting=0.15)
    bare = FaceTrack(vertices=track.vertices + 50, pose=track.pose, valid=track.valid)
    np.testing.assert_array_equal(face.identity([bare, track]), face.identity([track]))


def test_a_frame_without_a_face_does_not_count(face):
    track = clip(person(900), 901)
    spoilt = track.vertices.copy()
    spoilt[::3] = 1e4
    valid = np.arange(len(track)) % 3 > 0
    found = face.identity([FaceTrack(vertices=spoilt, pose=track.pose, valid=valid, coefficients=track.coefficients)])
    np.testing.assert_allclose(found, face.identity([track]), atol=0.05)


def test_the_regression_is_that_of_least_squares_when_there_is_much_footage():
    moments = ReadingMoments()
    for n in range(40):
        x = NEUTRAL + 0.2 * np.random.default_rng(n).standard_normal((400, SCORES))
        moments.add(str(n), person(n) + np.einsum("ts,svc->tvc", x, SMILES), x)
    found = moments.reading(None)
    np.testing.assert_allclose(found.weights.reshape(SMILES.shape), SMILES, atol=0.01)
    np.testing.assert_allclose(found.usual, NEUTRAL, atol=0.01)


def test_little_footage_hardly_moves_it_and_none_leaves_it():
    start = Reading(SMILES.reshape(SCORES, -1), NEUTRAL)
    assert ReadingMoments().reading(start) is start
    moments = ReadingMoments()
    moments.add("one", person(1) + CHANCE.standard_normal((30, V, 3)), NEUTRAL + 0.01 * CHANCE.random((30, SCORES)))
    moved = np.abs(moments.reading(start).weights - start.weights).mean()
    assert moved < 0.25 * np.abs(start.weights).mean()
    with pytest.raises(ValueError, match="nothing to learn from"):
        ReadingMoments().reading(None)


def test_what_was_learned_is_kept_with_the_weights(face):
    other = LandmarkFace(LandmarksConfig())
    other.load_state_dict(face.state_dict())
    smiling = clip(person(900), 901, lasting=0.15)
    np.testing.assert_array_equal(other.identity([smiling]), face.identity([smiling]))
    assert not torch.equal(other.usual, LandmarkFace(LandmarksConfig()).usual)
