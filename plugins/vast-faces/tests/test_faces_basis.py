"""The expression basis on motions that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vast_core.errors import InputError
from vast_core.interfaces import FaceTrack, Sizes, place
from vast_core.mesh import canonical_face
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace

FACE = canonical_face()
LOWER = FACE.lower_face
SIZES = Sizes(fps=25, image=128, audio=40, expression=32, lower_face=16, vertices=468, style=32, context=64)


def bump(centre: int, direction: tuple[float, float, float], width: float) -> np.ndarray:
    """A smooth displacement (V, 3) around a vertex."""
    distance = np.linalg.norm(FACE.vertices - FACE.vertices[centre], axis=1)
    return np.exp(-0.5 * (distance / width) ** 2)[:, None] * np.array(direction, np.float64)


MOTIONS = np.stack(
    [
        bump(17, (0, -1.2, 0.1), 2.0),  # jaw
        bump(61, (-0.5, 0.3, 0), 1.5) + bump(291, (0.5, 0.3, 0), 1.5),  # smile
        bump(13, (0, 0.2, 0.4), 1.0),
        bump(105, (0, 0.5, 0), 1.2) + bump(334, (0, 0.5, 0), 1.2),  # brows
        bump(159, (0, -0.4, 0), 0.6) + bump(386, (0, -0.4, 0), 0.6),  # blink
    ]
)
"""Three motions of the lower face, two of the upper."""


def pose(frames: int, rng: np.random.Generator, turn: float = 0.2) -> np.ndarray:
    time = np.arange(frames) / 25
    angles = turn * np.sin(2 * np.pi * rng.uniform(0.1, 0.5, 3) * time[:, None] + rng.uniform(0, 6, 3))
    rotation = Rotation.from_euler("xyz", angles).as_matrix() @ np.diag([1, -1, -1])
    return np.concatenate([6 * rotation, np.tile([[64.0], [64.0], [0.0]], (frames, 1, 1))], 2)


def track_of(amount: np.ndarray, identity: np.ndarray, poses: np.ndarray) -> FaceTrack:
    """A perfect track of MOTIONS by ``amount`` (T, 5)."""
    canonical = identity + np.einsum("tk,kvc->tvc", amount, MOTIONS)
    vertices = canonical @ np.swapaxes(poses[..., :3], 1, 2) + poses[:, None, :, 3]
    return FaceTrack(
        vertices=vertices.astype(np.float32), pose=poses.astype(np.float32), valid=np.ones(len(amount), bool)
    )


def corpus(tracks: int = 4, frames: int = 120, seed: int = 0) -> tuple[list[FaceTrack], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    found, identities = [], []
    for _ in range(tracks):
        identity = (FACE.vertices * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
        amount = rng.normal(0, [1, 0.7, 0.5, 0.6, 0.5], (frames, 5))
        amount[:, 3] += 0.5 * amount[:, 1]  # a smile raises the brows
        found.append(track_of(amount, identity, pose(frames, rng)))
        identities.append(identity)
    return found, identities


@pytest.fixture(scope="module")
def fitted() -> LandmarkFace:
    face = LandmarkFace.from_config(LandmarksConfig(), SIZES)
    face.fit(*corpus())
    return face


def test_encode_after_decode_gives_the_same_expression(fitted):
    rng = np.random.default_rng(5)
    used = np.flatnonzero(fitted.basis.flatten(1).abs().sum(1).numpy())
    expression = np.zeros((30, 32), np.float32)
    expression[:, used] = rng.normal(size=(30, len(used)))
    identity = (FACE.vertices * 1.05).astype(np.float32)
    poses = torch.from_numpy(pose(30, rng).astype(np.float32))
    vertices = place(fitted.decode(torch.from_numpy(expression), torch.from_numpy(identity)), poses)
    track = FaceTrack(vertices=vertices.numpy(), pose=poses.numpy(), valid=np.ones(30, bool))
    np.testing.assert_allclose(fitted.encode(track, identity), expression, atol=2e-3)


def test_what_the_corpus_shows_is_given_back(fitted):
    tracks, identities = corpus(seed=9)  # other amounts, other people
    for track, identity in zip(tracks, identities, strict=True):
        expression = torch.from_numpy(fitted.encode(track, identity))
        vertices = place(fitted.decode(expression, torch.from_numpy(identity)), torch.from_numpy(track.pose))
        error = np.linalg.norm(vertices.numpy() - track.vertices, axis=2)
        assert error.max() < 0.02, "pixels, of motions of up to 20"


def test_as_many_columns_as_motions_and_the_rest_is_zero(fitted):
    used = fitted.basis.flatten(1).abs().sum(1).numpy() > 0
    assert used[:3].all()
    assert used[16:18].all()
    assert used.sum() == 5, "three motions of the lower face, two more of the upper"


def test_the_first_coefficients_read_the_lower_face_alone(fitted):
    """Brows and lids may move as they like: the first 16 coefficients stay."""
    rng = np.random.default_rng(3)
    amount = rng.normal(size=(20, 5))
    still = amount.copy()
    still[:, 3:] = 0
    poses, identity = pose(20, rng), FACE.vertices
    one, other = (fitted.encode(track_of(a, identity, poses), identity) for a in (amount, still))
    # A brow's bump reaches faintly below the nose.
    np.testing.assert_allclose(one[:, :16], other[:, :16], atol=0.02)
    assert np.abs(one[:, 16:] - other[:, 16:]).max() > 0.3


def test_motion_that_goes_with_the_lower_face_comes_with_it(fitted):
    """The corpus' smiles raise the brows by half of it; so does the basis' smile."""
    smile = np.array([[0, 1, 0, 0.5, 0]])
    expression = fitted.encode(track_of(smile, FACE.vertices, pose(1, np.random.default_rng(0))), FACE.vertices)
    expression[:, 16:] = 0
    moved = (
        fitted.decode(torch.from_numpy(expression), torch.from_numpy(FACE.vertices.copy()))[0].numpy() - FACE.vertices
    )
    brow = moved[105, 1] - fitted.mean[105, 1].item()
    assert 0.15 < brow < 0.35


def test_the_leading_coefficient_has_unit_deviation_and_one_scale_serves_all(fitted):
    tracks, identities = corpus()
    expression = np.concatenate([fitted.encode(t, i) for t, i in zip(tracks, identities, strict=True)])
    deviation = expression.std(0)
    np.testing.assert_allclose(deviation[0], 1, rtol=0.02)
    assert deviation[0] == deviation[:16].max()
    norms = np.linalg.norm(fitted.basis[:, LOWER.copy()].flatten(1).numpy(), axis=1)
    np.testing.assert_allclose(norms[:3], float(fitted.scale), rtol=1e-4)
    np.testing.assert_allclose(
        np.linalg.norm(fitted.basis[16:18].flatten(1).numpy(), axis=1), float(fitted.scale), rtol=1e-4
    )


def test_frames_that_are_not_valid_are_ignored_and_interpolated(fitted):
    tracks, identities = corpus(seed=2)
    track, identity = tracks[0], identities[0]
    spoiled = track.vertices.copy()
    spoiled[10:13] = 1e4
    valid = track.valid.copy()
    valid[10:13] = False
    damaged = FaceTrack(vertices=spoiled, pose=track.pose, valid=valid)
    whole, found = fitted.encode(track, identity), fitted.encode(damaged, identity)
    np.testing.assert_allclose(found[valid], whole[valid], atol=1e-4)
    np.testing.assert_allclose(found[11], (found[9] + found[13]) / 2, atol=1e-5)
    face = LandmarkFace(LandmarksConfig())
    face.fit([damaged], [identity])
    assert torch.isfinite(face.basis).all()
    assert face.basis.abs().max() < 10


def test_a_mirrored_corpus_gives_a_mirrored_basis(fitted):
    """Nothing in the method prefers a side: mirrored faces give mirrored faces back."""
    flip = np.array([-1, 1, 1], np.float32)
    tracks, identities = corpus()
    mirrored = []
    for track in tracks:
        vertices = track.vertices[:, FACE.mirror] * flip + np.array([128, 0, 0], np.float32)
        turned = track.pose.copy()
        turned[:, 0] *= -1
        turned[:, :, 0] *= -1
        turned[:, 0, 3] += 128
        mirrored.append(FaceTrack(vertices=vertices, pose=turned, valid=track.valid))
    face = LandmarkFace(LandmarksConfig())
    face.fit(mirrored, [identity[FACE.mirror] * flip for identity in identities])
    seen = face.basis[:, FACE.mirror.copy()] * torch.from_numpy(flip)
    for column, other in zip(fitted.basis, seen, strict=True):
        assert min((column - other).abs().max(), (column + other).abs().max()) < 2e-3


def test_motion_that_follows_the_head_is_no_expression():
    """Faces that widen as the head turns, as a flat camera model makes them, do not spend coefficients on it."""
    tracks, identities = corpus(tracks=6, seed=4)
    leak = np.zeros((468, 3))
    leak[:, 2] = 0.3 * FACE.vertices[:, 0]
    leaking = []
    for track in tracks:
        yaw = track.pose[:, 0, 2] / 6
        added = (yaw[:, None, None] * leak) @ np.swapaxes(track.pose[..., :3], 1, 2)
        leaking.append(
            FaceTrack(vertices=track.vertices + added.astype(np.float32), pose=track.pose, valid=track.valid)
        )
    face = LandmarkFace(LandmarksConfig())
    face.fit(leaking, identities)
    found = np.concatenate([face.encode(t, i) for t, i in zip(leaking, identities, strict=True)])
    yaw = np.concatenate([t.pose[:, 0, 2] - t.pose[:, 0, 2].mean() for t in tracks])
    correlation = [abs(np.corrcoef(yaw, column)[0, 1]) for column in found.T if column.std() > 0.05]
    assert max(correlation) < 0.15
    assert face.leak.abs().max() > 0.1


def test_without_such_motion_nothing_is_taken_away(fitted):
    assert not fitted.leak.any()


def test_one_clip_is_too_few_to_tell_a_leak_from_a_habit():
    """Who opens the mouth when turning keeps doing so."""
    rng = np.random.default_rng(6)
    poses = pose(200, rng)
    yaw = (poses[:, 0, 2] - poses[:, 0, 2].mean()) / poses[:, 0, 2].std()
    amount = np.stack([yaw, *np.zeros((4, 200))], axis=1)
    track = track_of(amount, FACE.vertices, poses)
    face = LandmarkFace(LandmarksConfig())
    face.fit([track], [FACE.vertices])
    assert not face.leak.any()
    assert abs(np.corrcoef(face.encode(track, FACE.vertices)[:, 0], yaw)[0, 1]) > 0.999


@pytest.mark.parametrize("frames", [1, 3])
def test_fewer_frames_than_coefficients(frames):
    tracks, identities = corpus(tracks=1, frames=frames)
    face = LandmarkFace(LandmarksConfig())
    face.fit(tracks, identities)
    expression = face.encode(tracks[0], identities[0])
    assert expression.shape == (frames, 32)
    assert np.isfinite(expression).all()
    given = face.decode(torch.from_numpy(expression), torch.from_numpy(identities[0]))
    expected = np.einsum(
        "tij,tvj->tvi", np.linalg.inv(tracks[0].pose[..., :3]), tracks[0].vertices - tracks[0].pose[:, None, :, 3]
    )
    np.testing.assert_allclose(given.numpy(), expected, atol=1e-3)


def test_a_face_that_never_moves_gives_an_empty_basis():
    track = track_of(np.zeros((20, 5)), FACE.vertices, pose(20, np.random.default_rng(0)))
    face = LandmarkFace(LandmarksConfig())
    face.fit([track], [FACE.vertices])
    assert np.abs(face.encode(track, FACE.vertices)).max() < 1e-3


def test_a_face_without_lower_coefficients_for_the_rest():
    face = LandmarkFace(LandmarksConfig(coefficients=3, lower_face=3))
    face.fit(*corpus())
    track, identity = (items[0] for items in corpus())
    assert face.encode(track, identity).shape == (120, 3)


def test_encoding_before_fitting_is_refused():
    track = track_of(np.zeros((5, 5)), FACE.vertices, pose(5, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="fit"):
        LandmarkFace(LandmarksConfig()).encode(track, FACE.vertices)


def test_no_valid_frame_at_all_is_named(fitted):
    track = track_of(np.zeros((5, 5)), FACE.vertices, pose(5, np.random.default_rng(0)))
    blind = FaceTrack(vertices=track.vertices, pose=track.pose, valid=np.zeros(5, bool))
    with pytest.raises(InputError, match="frame with a face"):
        LandmarkFace(LandmarksConfig()).fit([blind], [FACE.vertices])
    with pytest.raises(InputError, match="frame with a face"):
        fitted.identity([blind])
    with pytest.raises(InputError, match="frame with a face"):
        fitted.encode(blind, FACE.vertices)


def test_identity_is_the_median_and_forgives_bad_frames():
    rng = np.random.default_rng(0)
    shape = (FACE.vertices * 0.95).astype(np.float32)
    amount = rng.normal(0, 1, (101, 5))
    amount -= np.median(amount, axis=0)
    track = track_of(amount[:, :1] * [1, 0, 0, 0, 0], shape, pose(101, rng))
    spoiled = track.vertices.copy()
    spoiled[:20] += rng.uniform(20, 50, (20, 468, 3)).astype(np.float32)
    found = LandmarkFace(LandmarksConfig()).identity([FaceTrack(vertices=spoiled, pose=track.pose, valid=track.valid)])
    assert np.abs(found - shape).max() < 1.2
    clean = LandmarkFace(LandmarksConfig()).identity([track, track])
    np.testing.assert_allclose(clean, shape, atol=1e-4)


def test_what_was_learned_travels_with_the_state(fitted):
    other = LandmarkFace(LandmarksConfig())
    other.load_state_dict(fitted.state_dict())
    track, identity = (items[0] for items in corpus())
    np.testing.assert_array_equal(other.encode(track, identity), fitted.encode(track, identity))
    assert int(other.frames) == 480


def test_decode_is_differentiable_and_takes_any_leading_axes(fitted):
    expression = torch.randn(2, 3, 32, requires_grad=True)
    identity = torch.from_numpy(FACE.vertices.copy())
    vertices = fitted.decode(expression, identity)
    assert vertices.shape == (2, 3, 468, 3)
    vertices[..., 13, 1].sum().backward()
    torch.testing.assert_close(expression.grad[1, 2], fitted.basis[:, 13, 1])


def test_decode_works_on_the_meta_device():
    with torch.device("meta"):
        face = LandmarkFace.from_config(LandmarksConfig(), SIZES)
        assert face.decode(torch.empty(2, 5, 32), torch.empty(468, 3)).shape == (2, 5, 468, 3)


def test_lip_opening_of_the_canonical_face_and_its_gradient(fitted):
    vertices = torch.from_numpy(FACE.vertices.copy()).requires_grad_()
    opening = fitted.lip_opening(vertices)
    a, b = FACE.vertices[[13, 14]]
    np.testing.assert_allclose(opening.item(), np.linalg.norm(a - b) / (2 * FACE.vertices[263, 0]), rtol=1e-5)
    opening.backward()
    assert torch.isfinite(vertices.grad).all()
    shut = torch.from_numpy(FACE.vertices.copy())
    shut[14] = shut[13]
    assert fitted.lip_opening(shut.requires_grad_()).item() == 0
    turned = torch.from_numpy((FACE.vertices @ Rotation.random(rng=0).as_matrix().T * 7).astype(np.float32))
    torch.testing.assert_close(fitted.lip_opening(turned), opening.detach())


def test_the_interface_is_filled(fitted):
    assert fitted.triangles.shape == (852, 3)
    assert fitted.millimetres == 10
    assert not set(fitted.lips) & set(fitted.upper_face)
