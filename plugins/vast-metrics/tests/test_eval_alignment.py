"""The crop: one way into it for a reference and what was made of it, against maps and pictures known in closed form."""

import cv2
import numpy as np
import pytest

from vast_core.mesh import Crop
from vast_metrics.evaluation.alignment import Alignment, View, rescaling, similarity

SIZES = ((240, 320), (240, 320))


def face(frames=5, seed=0):
    """Points (T, N, 2) of a head that moves a little, in a picture of 240 by 320 pixels."""
    chance = np.random.default_rng(seed)
    shape = chance.uniform(-50, 50, (60, 2)) * [0.8, 1]
    return shape + np.array([160, 120]) + chance.normal(0, 3, (frames, 1, 2))


def scaled_turned(points, scale, degrees, shift):
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


def view(margin=1.4, size=128):
    points = face()
    return View.of(Crop.around(np.concatenate([points, points[..., :1]], -1).astype(np.float32), margin, size))


def picture(size=(240, 320)):
    """A smooth picture, the same whatever its number of pixels."""
    y, x = np.meshgrid((np.arange(size[0]) + 0.5) / size[0], (np.arange(size[1]) + 0.5) / size[1], indexing="ij")
    waves = [np.sin(9 * x + 4 * y), np.cos(7 * x - 5 * y), np.sin(6 * x * y + 3)]
    return np.rint(np.stack(waves, -1) * 100 + 128).astype(np.uint8)


def test_the_similarity_is_that_which_made_the_points():
    points = face().reshape(-1, 2)
    moved = scaled_turned(points, 0.7, -12, [30, -4])
    matrix = similarity(points, moved)
    assert np.allclose(points @ matrix[:, :2].T + matrix[:, 2], moved)
    assert np.hypot(matrix[0, 0], matrix[1, 0]) == pytest.approx(0.7)


def test_of_noisy_points_it_is_opencvs():
    points = face().reshape(-1, 2)
    moved = scaled_turned(points, 1.3, 20, [5, 5]) + np.random.default_rng(3).normal(0, 0.5, points.shape)
    theirs, _ = cv2.estimateAffinePartial2D(points, moved, method=cv2.LMEDS, refineIters=50)
    assert np.allclose(similarity(points, moved), theirs, atol=0.02 * 160)
    assert np.allclose(similarity(points, moved)[:, :2], theirs[:, :2], atol=0.01)


def test_a_references_view_is_its_crop():
    crop = Crop(x=70.3, y=30.9, side=171.5, size=128)
    assert np.array_equal(View.of(crop).cut(picture()), crop.cut(picture()))
    points = np.array([[100.0, 50.0, 3.0], [0.0, 0.0, -2.0]], np.float32)
    assert np.allclose(View.of(crop).vertices(points), crop.vertices(points), atol=1e-3)


def test_a_pair_that_lies_together_is_not_resampled():
    points = face()
    jitter = np.random.default_rng(1).normal(0, 0.3, points.shape)
    found = Alignment.fit(view(), points + jitter, points, SIZES, 1.0)
    assert found.how == "as it is"
    assert np.array_equal(found.view.cut(picture()), view().cut(picture()))


def test_a_larger_copy_is_rescaled_as_a_whole():
    points, size = face(), (480, 640)
    larger = points @ np.diag([2.0, 2.0]) + 0.5  # the centre of pixel 0 is at half a pixel of either
    found = Alignment.fit(view(), larger, points, (size, SIZES[0]), 1.0)
    assert found.how == "rescaled"
    ours, theirs = found.view.cut(picture(size)).astype(int), view().cut(picture()).astype(int)
    assert np.abs(ours - theirs).max() <= 2


def test_a_turned_copy_is_turned_back():
    points = face()
    there = scaled_turned(points, 0.8, 9, [20, 10])
    found = Alignment.fit(view(), there, points, SIZES, 1.0)
    assert found.how == "fitted"
    assert "scaled by 1.250, rotated by -9.0 degrees" in found.note
    matrix = np.column_stack([scaled_turned(np.eye(2), 0.8, 9, 0).T, [20, 10]])
    turned = cv2.warpAffine(picture(), matrix, (320, 240), flags=cv2.INTER_CUBIC)
    inside = np.s_[20:-20, 20:-20]
    ours, theirs = found.view.cut(turned)[inside].astype(int), view().cut(picture())[inside].astype(int)
    assert np.abs(ours - theirs).mean() < 1.5


def test_a_video_of_one_size_that_is_shifted_is_brought_back():
    points = face()
    assert Alignment.fit(view(), points + np.array([4.0, 0]), points, SIZES, 1.0).how == "fitted"


def test_stretched_frames_are_no_plain_rescaling():
    points = face()
    found = Alignment.fit(view(), points * [2.0, 1.0], points, ((240, 640), SIZES[0]), 1.0)
    assert found.how == "fitted"


def test_a_pose_in_the_crop_puts_canonical_points_where_the_view_puts_them():
    chance = np.random.default_rng(2)
    canonical, pose = chance.normal(size=(30, 3)), chance.normal(size=(1, 3, 4)).astype(np.float32)
    pose[:, :, 3] += 100
    own = view().after(similarity(face().reshape(-1, 2), scaled_turned(face().reshape(-1, 2), 1.2, 5, [1, 2])))
    image = canonical @ pose[0, :, :3].T + pose[0, :, 3]
    moved = own.pose(pose)[0]
    assert np.allclose(canonical @ moved[:, :3].T + moved[:, 3], own.vertices(image.astype(np.float32)), atol=1e-2)


def test_how_much_of_the_crop_a_video_lacks():
    own = View.of(Crop(x=-64, y=0, side=128, size=128))
    assert own.outside((240, 320)) == pytest.approx(0.5, abs=0.01)
    assert view(margin=1.0).outside((240, 320)) == 0


def test_rescaling_keeps_the_corners_of_pixels():
    matrix = rescaling((100, 200), (50, 40))
    corner = np.array([-0.5, -0.5, 1.0])
    assert np.allclose(matrix @ corner, [-0.5, -0.5])
    assert np.allclose(matrix @ [199.5, 99.5, 1], [39.5, 49.5])
