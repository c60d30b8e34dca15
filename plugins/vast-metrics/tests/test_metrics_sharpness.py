"""CPBD against ramps whose widths are known, and figures of the package cpbd, a port of the authors' program."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vast_core.errors import NotComputed
from vast_core.testing import metric as kit
from vast_metrics.config import SharpnessConfig
from vast_metrics.sharpness import Sharpness, cpbd, edge_widths, edges, luma

EVERYWHERE = np.ones((192, 256), bool)


def ramps(width, low, high):
    """(192, 256): rising and falling by turns, each within ``width`` pixels, 16 apart."""
    up = np.interp(np.arange(32), [4, 4 + width, 20, 20 + width], [low, high, high, low])
    return np.tile(np.round(up).astype(np.uint8), (192, 8))


def waves(sigma, contrast):
    """(192, 256): bent stripes with a grating, of no symmetry; the recipe of the figures below."""
    y, x = np.mgrid[:192, :256]
    bent = 70 * np.sign(np.sin(x / 9 + 2 * np.sin(y / 31))) + 30 * np.sin(y / 7) * np.cos(x / 23)
    return np.clip(np.round(gaussian_filter(120 + contrast * bent, sigma)), 0, 255).astype(np.uint8)


@pytest.fixture
def shown(performance):
    return lambda image, region=None: performance(
        frames=torch.from_numpy(image).float().div(255).expand(2, 3, *image.shape), region=region
    )


@pytest.mark.parametrize(
    ("low", "high", "widest"), [(20, 220, 3), (100, 151, 3), (100, 150, 5)], ids=["high", "just high", "low"]
)
def test_an_edge_is_sharp_up_to_the_width_that_is_just_noticed(low, high, widest):
    found = {width: cpbd(ramps(width, low, high), EVERYWHERE) for width in range(2, 9)}
    assert found == {width: float(width <= widest) for width in range(2, 9)}


@pytest.mark.parametrize("width", range(2, 12))
def test_the_width_of_an_edge_is_that_of_its_ramp(width):
    image = ramps(width, 20, 220)
    found = edges(image)
    assert found[1:-1].sum() >= 190 * 15  # a ramp more may lie on the border
    assert set(edge_widths(image)[found]) == {width}


def test_only_edges_across_the_rows_and_steeper_than_two_levels_count():
    assert not edges(ramps(10, 100, 120)).any()
    assert edges(ramps(10, 100, 121)).any()
    assert not edges(np.ascontiguousarray(ramps(3, 20, 220)[:, :192].T)).any()


@pytest.mark.parametrize(
    ("sigma", "contrast", "figure"),
    [
        (0, 1, 0.815589),
        (0.6, 1, 0.499048),
        (0.7, 1, 0.068834),
        (0.8, 1, 0.000000),
        (1, 0.2, 0.659249),
        (1.1, 0.2, 0.383678),
        (1.2, 0.2, 0.169451),
        (1.5, 0.2, 0.006810),
    ],
)
def test_figures_of_the_package_cpbd(sigma, contrast, figure):
    """Of cpbd 1.0.7 with scikit-image 0.26.0: its widths, contrasts, Canny's blocks and histogram, on our edges.

    Its own edges are others: it takes Octave's threshold, which depends on the whole image, where the authors' program
    has 2 levels a pixel, and keeps the edges along the rows beside those across.
    """
    assert cpbd(waves(sigma, contrast), EVERYWHERE) == pytest.approx(figure, abs=0.002)


def test_blur_takes_sharpness_away():
    found = [cpbd(waves(sigma, 1), EVERYWHERE) for sigma in (0, 0.6, 0.8, 1, 1.5, 2, 3)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.8
    assert found[-1] < 0.05


def test_the_deviation_is_signed(shown):
    metric = Sharpness.from_config(SharpnessConfig(), None)
    sharp, soft = shown(waves(0, 1)), shown(waves(1, 1))
    assert metric(sharp, sharp)["sharpness_deviation"] == 0
    drawn, real = metric(soft, sharp), metric(sharp, soft)
    assert drawn["sharpness"] == pytest.approx(cpbd(waves(1, 1), EVERYWHERE))
    assert drawn["sharpness_deviation"] == -real["sharpness_deviation"] < -0.2


def test_only_the_region_counts(shown):
    """Sharp to the left, soft to the right."""
    image = ramps(2, 20, 220)
    image[:, 128:] = ramps(5, 20, 220)[:, 128:]
    left = torch.zeros(2, 1, 192, 256)
    left[..., :128] = 1
    metric = Sharpness()
    for region, expected in ((left, 1.0), (1 - left, 0.0), (None, 0.5)):
        given = shown(image, region)
        assert metric(given, given)["sharpness"] == pytest.approx(expected, abs=0.01)


def test_contrast_outside_the_region_is_not_seen(shown):
    """Edges five pixels wide are sharp where the contrast is low, whatever stands beside the face."""
    image = ramps(5, 100, 150)
    image[::64, ::64] = 255
    region = torch.ones(2, 1, 192, 256)
    region[..., ::64, ::64] = 0
    given = shown(image, region)
    assert Sharpness()(given, given)["sharpness"] > 0.95
    assert cpbd(image, EVERYWHERE) < 0.05


def test_frames_without_a_face_or_an_edge(shown, performance):
    flat = shown(np.full((192, 256), 90, np.uint8))
    assert Sharpness()(flat, flat) == {"sharpness": 0.0, "sharpness_deviation": 0.0}
    region = torch.ones(2, 1, 192, 256)
    region[0] = 0  # the first frame shows no face
    frames = torch.stack([flat.frames[0], shown(ramps(2, 20, 220)).frames[0]])
    given = performance(frames=frames, region=region)
    assert Sharpness()(given, given)["sharpness"] == 1


def test_luma_is_that_of_itu_r_601():
    frame = torch.tensor([[1.0, 0, 0, 0.2], [0, 1, 0, 0.4], [0, 0, 1, 0.6]]).view(3, 1, 4)
    assert luma(frame).tolist() == [[76, 150, 29, 93]]


def test_frames_smaller_than_a_block_are_not_judged(shown):
    small = shown(np.zeros((63, 256), np.uint8))
    with pytest.raises(NotComputed, match=r"64 x 64 pixels, but the frames are \(2, 3, 63, 256\)"):
        Sharpness()(small, small)


def test_it_keeps_the_rules_of_metrics(monkeypatch, rules_that_do_not_apply):
    """On pictures larger than the kit's, which hold no block."""
    monkeypatch.setattr(kit, "_SIZE", 128)
    assert rules_that_do_not_apply("metric/sharpness", SharpnessConfig()) == ["it is not a PooledMetric"]
