"""A mean of pictures keeps the strength of their detail."""

from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from vast_renderers.detail import mixed


def textures(count, size=96):
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), size=(size, size), mode="bicubic")[0]
    return torch.stack([0.5 * smooth + 0.06 * torch.randn(3, size, size) + 0.25 for _ in range(count)])


def strength(picture):
    """Deviation of the Laplacian, inside."""
    return ndimage.laplace(picture.mean(0).double().numpy())[8:-8, 8:-8].std()


def test_detail_is_as_strong_as_that_of_the_pictures():
    pictures = textures(3)
    weights = torch.full((3, 1, 1, 1), 1 / 3)
    plain = (weights * pictures).sum(0)
    drawn = mixed(pictures, weights)
    own = sum(strength(picture) for picture in pictures) / 3
    assert strength(plain) < 0.65 * own
    assert strength(drawn) == pytest.approx(own, rel=0.1)
    # large forms are those of the mean
    blurred = [ndimage.gaussian_filter(x.numpy(), (0, 6, 6)) for x in (drawn, plain)]
    assert abs(blurred[0] - blurred[1]).max() < 0.02


@pytest.mark.parametrize("weights", [[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
def test_one_picture_or_equal_ones_stay_as_they_are(weights):
    pictures = textures(3)
    if weights[0] != 1:
        pictures = pictures[:1].expand(3, -1, -1, -1)
    drawn = mixed(pictures, torch.tensor(weights).view(3, 1, 1, 1))
    torch.testing.assert_close(drawn, pictures[0], atol=1e-5, rtol=0)


def test_flat_pictures_gain_no_detail():
    pictures = torch.stack([torch.full((3, 32, 32), value) for value in (0.2, 0.6)])
    torch.testing.assert_close(mixed(pictures, torch.full((2, 1, 1, 1), 0.5)), torch.full((3, 32, 32), 0.4))


def test_it_is_the_same_in_bfloat16_and_after_use_on_the_meta_device():
    with torch.device("meta"):
        assert mixed(torch.zeros(2, 3, 40, 40), torch.zeros(2, 1, 1, 1)).is_meta
    pictures, weights = torch.rand(2, 3, 40, 40), torch.full((2, 1, 1, 1), 0.5)
    plain = mixed(pictures, weights)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mixed(pictures, weights), plain)


def test_the_matrices_stay_on_their_device_and_in_their_type(monkeypatch):
    pictures, weights = torch.rand(2, 3, 24, 24), torch.full((2, 1, 1, 1), 0.5)
    mixed(pictures, weights)
    mixed(pictures.double(), weights.double())
    moved, move = [], torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda own, *more: moved.append(own.shape) or move(own, *more))
    assert mixed(pictures, weights).dtype == torch.float32
    assert mixed(pictures.double(), weights.double()).dtype == torch.float64
    assert not moved, "they were made before"
