"""Crops go to the renderer and back without moving a pixel; holes cover the face."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vast_core.mesh import Crop, dilate, erosion_radius, eyes_masks, hull_masks, make_scene


def picture(rows=200, columns=300):
    y, x = np.mgrid[:rows, :columns]
    return np.stack(
        [128 + 100 * np.sin(x / 17), 128 + 100 * np.cos(y / 23), 128 + 50 * np.sin((x + y) / 31)], -1
    ).astype(np.uint8)


@pytest.mark.parametrize("side", [80.0, 128.0, 190.0])
def test_a_crop_laid_back_is_the_footage_again(side):
    frame = picture()
    crop = Crop(41.3, 20.7, side, 128)
    weight = np.zeros((128, 128), np.float32)
    weight[20:-20, 20:-20] = 1
    pasted = crop.paste(frame, crop.cut(frame), weight)
    assert np.abs(pasted.astype(int) - frame).max() <= 6
    assert np.array_equal(pasted[:20], frame[:20])


@pytest.mark.parametrize("corner", [(-60.0, -60.0), (250.0, 150.0), (400.0, 20.0)])
def test_a_crop_that_leaves_the_frame_is_laid_back_where_it_is(corner):
    frame, crop = picture(), Crop(*corner, 100.0, 64)
    weight = np.pad(np.ones((56, 56), np.float32), 4)
    assert np.abs(crop.paste(frame, crop.cut(frame), weight).astype(int) - frame).max() <= 30
    assert np.array_equal(crop.moved(frame, np.zeros((64, 64, 2), np.float32)), frame)


def test_what_has_no_weight_is_not_touched():
    frame = picture()
    crop = Crop(41.3, 20.7, 100, 64)
    red = np.broadcast_to(np.array([255, 0, 0], np.uint8), (64, 64, 3)).copy()
    weight = np.zeros((64, 64), np.float32)
    weight[30, 30] = 1
    pasted = crop.paste(frame, red, weight)
    changed = np.argwhere((pasted != frame).any(-1))
    centre = np.array([20.7 + 30.5 * 100 / 64, 41.3 + 30.5 * 100 / 64]) - 0.5
    assert len(changed)
    assert np.abs(changed - centre).max() < 2.5


def test_vertices_land_on_the_pixels_that_the_crop_shows():
    frame = np.zeros((200, 300, 3), np.uint8)
    y, x = np.mgrid[:200, :300]
    frame[..., 0] = (255 * np.exp(-((x - 137.0) ** 2 + (y - 88.0) ** 2) / 50)).astype(np.uint8)
    crop = Crop(60.2, 30.9, 130, 96)
    bright = crop.cut(frame)[..., 0].astype(float) ** 2
    rows, columns = np.mgrid[:96, :96]
    found = np.array([(columns * bright).sum(), (rows * bright).sum()]) / bright.sum()
    assert np.abs(crop.vertices(np.array([[137.0, 88.0, 0.0]], np.float32))[0, :2] - found).max() < 0.1


def test_a_much_larger_frame_is_averaged_not_sampled():
    noise = np.random.default_rng(0).integers(0, 2, (1000, 1000, 1)).repeat(3, -1).astype(np.uint8) * 255
    assert Crop(0, 0, 1000, 64).cut(noise).std() < 20


def test_the_crop_holds_the_face_in_every_frame():
    track = np.random.default_rng(0).uniform(50, 150, (10, 30, 3)).astype(np.float32)
    placed = Crop.around(track, 1.25, 128).vertices(track)[..., :2]
    assert placed.min() > 0
    assert placed.max() < 127


def test_dilation_grows_by_the_radius():
    mask = torch.zeros(2, 3, 1, 21, 21)
    mask[..., 10, 10] = 1
    assert int(dilate(mask, 3)[0, 0, 0].sum()) == 49


def test_each_eye_has_its_own_mask_and_what_lies_between_has_none():
    """Two squares of lids, their vertices mixed, that move over the picture."""
    corners = np.array([[0, 0, 0], [12, 0, 0], [12, 6, 0], [0, 6, 0]], np.float32)
    lids = np.stack([corners + np.float32((20, 40, 0)), corners + np.float32((70, 44, 0))], 1).reshape(8, 3)
    track = np.stack([lids, lids + np.float32((25, 10, 0))])
    masks = eyes_masks(SimpleNamespace(eyes=np.arange(8)), track, 128)
    assert masks.shape == (2, 1, 128, 128)
    assert masks.dtype == np.uint8
    for mask, (x, y) in zip(masks[:, 0], ((20, 40), (45, 50)), strict=True):
        assert mask[y : y + 7, x : x + 13].all(), "one eye"
        assert mask[y + 4 : y + 11, x + 50 : x + 63].all(), "the other"
        assert not mask[:, x + 16 : x + 47].any(), "nothing between them"
        assert mask[y - 1, x + 6] == 1, "a margin"
        assert mask.sum() < 2 * 17 * 11


def test_the_hole_covers_face_and_mesh_and_the_background_is_empty_there():
    square = np.array([[20, 20, 0], [40, 20, 0], [40, 40, 0], [20, 40, 0]], np.float32)[None]
    hull = torch.from_numpy(hull_masks(square, 64))[None]
    assert int(hull.sum()) == 21 * 21
    coverage = torch.zeros(1, 1, 1, 64, 64, dtype=torch.uint8)
    coverage[..., 50, 50] = 255
    frames = torch.full((1, 1, 3, 64, 64), 200, dtype=torch.uint8)
    scene = make_scene(frames, hull, frames, frames, coverage, torch.zeros(1, 1, 4), 2)
    assert int(scene.hole.sum()) == 25 * 25 + 1
    assert float((scene.background * scene.hole).max()) == 0
    assert torch.allclose(scene.background + scene.hole * 200 / 255, torch.tensor(200 / 255))


def test_training_erodes_at_random_within_bounds_and_inference_in_the_middle():
    drawn = {erosion_radius(128, np.random.default_rng(i)) for i in range(200)}
    assert drawn == set(range(3, 10))
    assert erosion_radius(128) == 6


@pytest.mark.parametrize("side", [65.0, 70.0, 95.0, 96.0])
def test_a_crop_far_smaller_than_the_frame_keeps_its_brightness(side):
    """Rounding can leave the reduced picture slightly too large; one reduction must be enough."""
    frame = np.tile(np.arange(96, dtype=np.uint8)[None, :, None] * 2, (96, 1, 3))
    cut = Crop(0.0, 0.0, side, 32).cut(frame)
    assert cut.shape == (32, 32, 3)
    assert cut.mean() == pytest.approx(side - 1, abs=2)  # a ramp of 2 a pixel over `side` pixels
