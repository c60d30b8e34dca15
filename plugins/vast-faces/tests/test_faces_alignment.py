"""Head pose and smoothing against known motions, SciPy and the Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vast_core.mesh import canonical_face
from vast_faces.alignment import place, robust_similarity, similarity, smooth_pose, split, unplace
from vast_faces.smoothing import kernel, smooth

FACE = canonical_face()
INDEX, WEIGHT = FACE.alignment_index, FACE.alignment_weight
FLIP = np.diag([1.0, -1.0, -1.0])


def poses(count: int, seed: int = 0) -> np.ndarray:
    """Poses (T, 3, 4) of a head that looks about."""
    rng = np.random.default_rng(seed)
    rotation = Rotation.from_euler("xyz", rng.uniform(-0.5, 0.5, (count, 3))).as_matrix() @ FLIP
    scale = rng.uniform(5, 20, (count, 1, 1))
    return np.concatenate([scale * rotation, rng.uniform(50, 200, (count, 3, 1))], axis=2)


def angle(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Radians between rotations."""
    return Rotation.from_matrix(one @ np.swapaxes(other, -1, -2)).magnitude()


def test_a_known_pose_of_a_known_shape_is_recovered():
    pose = poses(20)
    found = similarity(FACE.vertices[INDEX], place(FACE.vertices, pose)[:, INDEX], WEIGHT)
    np.testing.assert_allclose(found, pose, atol=1e-4)


def test_placing_and_taking_back_are_inverse():
    pose = poses(5)
    np.testing.assert_allclose(unplace(place(FACE.vertices, pose), pose), np.tile(FACE.vertices, (5, 1, 1)), atol=1e-9)


def test_the_rotation_agrees_with_scipys_for_a_noisy_shape():
    rng = np.random.default_rng(1)
    pose = poses(8)
    seen = place(FACE.vertices, pose)[:, INDEX] + rng.normal(0, 2, (8, 33, 3))
    scale, rotation, _ = split(similarity(FACE.vertices[INDEX], seen, WEIGHT))
    source = FACE.vertices[INDEX] - np.average(FACE.vertices[INDEX], axis=0, weights=WEIGHT)
    for t in range(8):
        target = seen[t] - np.average(seen[t], axis=0, weights=WEIGHT)
        expected, _ = Rotation.align_vectors(target, source, weights=WEIGHT)
        np.testing.assert_allclose(rotation[t], expected.as_matrix(), atol=1e-6)
        turned = source @ rotation[t].T
        slope = (WEIGHT[:, None] * target * turned).sum() / (WEIGHT[:, None] * turned**2).sum()
        np.testing.assert_allclose(scale[t], slope, rtol=1e-6)


def test_the_rotation_is_proper_even_of_a_mirrored_face():
    mirrored = place(FACE.vertices * np.array([-1, 1, 1]) + np.array([0.3, 0, 0]), poses(4))
    linear = similarity(FACE.vertices[INDEX], mirrored[:, INDEX], WEIGHT)[..., :3]
    assert (np.linalg.det(linear) > 0).all()


def test_a_few_points_far_off_hardly_turn_the_head():
    rng = np.random.default_rng(2)
    pose = poses(10)
    seen = place(FACE.vertices, pose)[:, INDEX] + rng.normal(0, 0.1, (10, 33, 3))
    seen[:, :3] += 30  # as when a hand covers part of the forehead
    plain = split(similarity(FACE.vertices[INDEX], seen, WEIGHT))[1]
    robust = split(robust_similarity(FACE.vertices[INDEX], seen, WEIGHT))[1]
    true = split(pose)[1]
    assert np.median(angle(robust, true)) < 0.1 * np.median(angle(plain, true))


@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 50.0, 60.0])
@pytest.mark.parametrize("band", [3.0, 5.0])
def test_the_filter_keeps_its_band_and_stops_jitter(fps, band):
    """The frequency response by the Fourier transform of the taps."""
    taps = kernel(fps, band)
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)
    at = np.arange(len(taps)) - len(taps) // 2
    hertz = np.linspace(0, fps / 2, 200)
    response = (taps * np.cos(2 * np.pi * hertz[:, None] * at / fps)).sum(1)
    np.testing.assert_allclose(response[0], 1, atol=1e-12)
    inside = hertz <= band
    assert (response[inside] > 0.98).all()
    assert (response <= 1 + 1e-9).all()
    assert (response[hertz >= 3.2 * band] < 0.12).all()


def test_lip_opening_at_5_hz_loses_less_than_2_percent():
    """A sine of 5 Hz in the middle of a clip, as the eye of a least-squares fit sees it."""
    for fps in (25.0, 30.0):
        time = np.arange(200) / fps
        wave = np.sin(2 * np.pi * 5 * time + 0.4)
        smoothed = smooth(wave, fps, 5.0)[50:150]
        amplitude = smoothed @ wave[50:150] / (wave[50:150] @ wave[50:150])
        assert 0.98 < amplitude < 1.001


def test_smoothing_does_not_delay_and_keeps_a_straight_line():
    line = np.linspace(3, 9, 40)
    np.testing.assert_allclose(smooth(line, 25, 3), line, atol=1e-9)
    pulse = np.zeros(41)
    pulse[20] = 1
    smoothed = smooth(pulse, 25, 3)
    np.testing.assert_allclose(smoothed, smoothed[::-1], atol=1e-12)
    assert smoothed.argmax() == 20


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_short_tracks_are_smoothed_too(frames):
    values = np.random.default_rng(0).normal(size=(frames, 4, 3))
    smoothed = smooth(values, 25, 3)
    assert smoothed.shape == values.shape
    assert np.isfinite(smoothed).all()


def test_no_band_changes_nothing():
    values = np.random.default_rng(0).normal(size=(9, 2))
    np.testing.assert_array_equal(smooth(values, 25, 0), values)


def test_a_shaking_head_is_calmed_and_a_nodding_one_kept():
    rng = np.random.default_rng(3)
    time = np.arange(100) / 25
    nod = 0.2 * np.sin(2 * np.pi * time)
    rotation = Rotation.from_euler("x", nod[:, None]).as_matrix() @ FLIP
    jitter = Rotation.from_rotvec(rng.normal(0, 0.01, (100, 3))).as_matrix()
    still = np.tile([[100.0], [90.0], [0.0]], (100, 1, 1))
    smoothed = split(smooth_pose(np.concatenate([10 * jitter @ rotation, still], 2), 25, 3))[1]
    np.testing.assert_allclose(np.linalg.det(smoothed), 1)
    assert angle(smoothed, rotation)[10:-10].mean() < 0.75 * angle(jitter @ rotation, rotation)[10:-10].mean()
    clean = split(smooth_pose(np.concatenate([10 * rotation, still], 2), 25, 3))[1]
    assert angle(clean, rotation)[10:-10].max() < 0.002


def test_outliers_are_weighed_by_hubers_rule():
    """Five rounds, with a threshold of 1.5 medians: the same by a plain loop over frames and points."""
    rng = np.random.default_rng(5)
    points = FACE.vertices[INDEX].astype(float)
    seen = place(points, poses(3, seed=2)) + rng.normal(0, 0.3, (3, len(INDEX), 3))
    seen[:, :6] += rng.normal(0, 12, (3, 6, 3))
    for frame in range(3):
        weights = WEIGHT.astype(float)
        pose = similarity(points, seen[frame : frame + 1], weights)
        for _ in range(5):
            off = np.array(
                [
                    np.hypot.reduce(pose[0, :, :3] @ x + pose[0, :, 3] - y)
                    for x, y in zip(points, seen[frame], strict=True)
                ]
            )
            limit = 1.5 * np.median(off)
            weights = np.array([w if d <= limit else w * limit / d for w, d in zip(WEIGHT, off, strict=True)])
            pose = similarity(points, seen[frame : frame + 1], weights)
        np.testing.assert_allclose(robust_similarity(points, seen, WEIGHT)[frame], pose[0], rtol=1e-7, atol=1e-7)
