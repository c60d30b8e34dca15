"""PSNR and SSIM against closed forms, numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vast_metrics.config import PSNRConfig, SSIMConfig
from vast_metrics.images import PSNR, SSIM


@pytest.fixture
def frames():
    """(20, 3, 48, 40): blobs with grain."""
    draw = np.random.default_rng(0)
    picture = gaussian_filter(draw.random((20, 3, 48, 40)), (0, 0, 3, 3))
    picture = (picture - picture.min()) / np.ptp(picture)
    return torch.from_numpy(0.8 * picture + 0.2 * draw.random(picture.shape)).float()


@pytest.fixture
def region():
    where = torch.zeros(20, 1, 48, 40)
    where[:, :, 10:30, 8:28] = 1
    where[5] = 0  # No face in this frame.
    return where


@pytest.fixture(params=[(PSNR, PSNRConfig()), (SSIM, SSIMConfig())], ids=["psnr", "ssim"])
def metric(request, sizes):
    return request.param[0].from_config(request.param[1], sizes)


def value(metric, a, b):
    (number,) = metric(a, b).values()
    return number


@pytest.fixture
def shown(performance):
    return lambda frames, region=None: performance(frames=frames, region=region)


def blurred(frames, sigma):
    return torch.from_numpy(gaussian_filter(frames.numpy(), (0, 0, sigma, sigma)))


def test_identical_frames_are_perfect(metric, frames, region, shown):
    perfect = 100.0 if isinstance(metric, PSNR) else 1.0
    assert value(metric, shown(frames), shown(frames)) == pytest.approx(perfect, abs=1e-6)
    assert value(metric, shown(frames), shown(frames, region)) == pytest.approx(perfect, abs=1e-6)


def test_more_blur_and_shuffling_are_worse(metric, frames, shown):
    scores = [value(metric, shown(blurred(frames, sigma)), shown(frames)) for sigma in (0.3, 0.7, 1.5)]
    assert scores == sorted(scores, reverse=True)
    assert value(metric, shown(frames.roll(1, 0)), shown(frames)) < scores[0]


def test_what_lies_far_outside_the_region_is_not_seen(metric, frames, region, shown):
    spoilt = frames.clone()
    spoilt[:, :, 40:] = 0
    spoilt[5] = 1 - spoilt[5]
    inside = value(metric, shown(spoilt), shown(frames, region))
    assert inside == pytest.approx(value(metric, shown(frames), shown(frames, region)), abs=1e-6)
    assert value(metric, shown(spoilt), shown(frames)) < 0.99 * inside
    assert value(metric, shown(spoilt, region), shown(frames)) == inside  # The prediction's region serves as well.


def test_psnr_of_a_constant_error(frames, shown):
    # An error of 0.1 everywhere is 20 dB.
    assert value(PSNR(), shown(frames + 0.1), shown(frames)) == pytest.approx(20.0, abs=1e-4)


def test_psnr_over_the_region_is_numpys(frames, region, shown):
    other = blurred(frames, 1.0)
    where = np.broadcast_to(region.numpy() > 0, frames.shape)
    error = ((other.numpy().astype(np.float64) - frames.numpy()) ** 2)[where].mean()
    assert value(PSNR(), shown(other), shown(frames, region)) == pytest.approx(-10 * np.log10(error), abs=1e-4)


def test_ssim_over_the_region_is_scipys(frames, region, shown):
    other = blurred(frames, 1.0)
    x, y = other.double().numpy(), frames.double().numpy()

    def mean(image):
        return gaussian_filter(image, (0, 0, 1.5, 1.5), mode="mirror", radius=(0, 0, 5, 5))

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    image = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    whole = image.mean()
    masked = np.mean([image[t][:, region[t, 0].numpy() > 0].mean() for t in range(20) if t != 5])
    assert value(SSIM(), shown(other), shown(frames)) == pytest.approx(whole, abs=1e-4)
    assert value(SSIM(), shown(other), shown(frames, region)) == pytest.approx(masked, abs=1e-4)


def test_bad_input_is_named(metric, frames, region, shown):
    with pytest.raises(ValueError, match=r"\(19, 3, 48, 40\).*\(20, 3, 48, 40\)"):
        metric(shown(frames[:19]), shown(frames))
    with pytest.raises(ValueError, match="prediction has no frames"):
        metric(shown(None), shown(frames))
    with pytest.raises(ValueError, match=r"region is \(19, 1, 48, 40\).*\(20, 1, 48, 40\)"):
        metric(shown(frames), shown(frames, region[:19]))
    with pytest.raises(ValueError, match="is empty"):
        metric(shown(frames), shown(frames, torch.zeros_like(region)))
    broken = frames.clone()
    broken[7, 0, 0, 0] = float("inf")
    with pytest.raises(ValueError, match="reference are not finite, first in frame 7 of 20"):
        metric(shown(frames), shown(broken))


def test_ssim_refuses_frames_smaller_than_its_window(shown):
    with pytest.raises(ValueError, match=r"\(2, 3, 10, 40\)"):
        SSIM()(shown(torch.zeros(2, 3, 10, 40)), shown(torch.zeros(2, 3, 10, 40)))
