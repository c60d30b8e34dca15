"""Filling holes and softening their borders, against closed forms and SciPy's distance transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from vast_renderers.compositing import composite, feather, pull_push


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (1, 5), (1, 1)])
def test_known_pixels_stay_and_filled_ones_lie_between_them(size):
    image = torch.rand(2, 3, *size)
    known = (torch.rand(2, 1, *size) < 0.4).float()
    known[..., 0, 0] = 1
    filled = pull_push(image, known)
    assert torch.equal(filled * known, image * known)
    for before, mask, after in zip(image, known, filled, strict=True):
        for channel, result in zip(before, after, strict=True):
            kept = channel[mask[0] > 0]
            assert result.min() >= kept.min() - 1e-6
            assert result.max() <= kept.max() + 1e-6


def test_a_constant_surrounding_fills_with_itself():
    known = torch.ones(1, 1, 64, 64)
    known[..., 10:50, 12:60] = 0
    filled = pull_push(torch.full((1, 3, 64, 64), 0.3), known)
    torch.testing.assert_close(filled, torch.full_like(filled, 0.3))


def test_nothing_known_gives_black():
    assert not pull_push(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).any()


def test_the_feather_follows_the_chessboard_distance():
    hole = torch.zeros(1, 1, 48, 48)
    hole[..., 8:40, 10:44] = 1
    distance = ndimage.distance_transform_cdt(hole[0, 0].numpy(), metric="chessboard")
    for radius in (1, 2, 5):
        alpha = feather(hole, radius)[0, 0].numpy()
        assert (alpha[distance == 0] == 0).all()
        assert (alpha[distance > radius] == 1).all()
        edge = (distance >= 1) & (distance <= radius)
        assert (alpha[edge] < 1).all()
        # Away from the corners the ramp is a straight line, 0 half a pixel outside the hole's first pixel.
        row = alpha[24, 10 : 10 + radius]
        np.testing.assert_allclose(row, (2 * np.arange(1, radius + 1) - 1) / (2 * radius + 1), atol=1e-6)


def test_a_hole_at_the_edge_of_the_image_is_not_softened_there():
    hole = torch.ones(1, 1, 32, 32)
    assert torch.equal(feather(hole, 3), hole)


def test_the_composite_shows_the_texture_where_it_is_covered_and_the_background_outside(make_batch):
    scene = make_batch(3).scene
    image = composite(scene)
    drawn = scene.hole * scene.coverage
    torch.testing.assert_close(image * drawn, scene.texture * drawn)
    assert torch.equal(image * (1 - scene.hole), scene.background)


def test_the_composite_without_texture_sees_only_the_background(make_batch):
    scene, other = make_batch(1).scene, make_batch(1, seed=1).scene
    object.__setattr__(other, "background", scene.background)
    assert torch.equal(composite(scene, texture=False), composite(other, texture=False))
