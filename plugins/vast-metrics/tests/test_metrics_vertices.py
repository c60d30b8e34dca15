"""Metrics of vertices against closed forms and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vast_core.errors import NotComputed
from vast_metrics.config import (
    LandmarkDistanceConfig,
    LipClosingConfig,
    LipCorrelationConfig,
    LipSizeConfig,
    LipVertexErrorConfig,
    MotionStabilityConfig,
    UpperFaceDynamicsConfig,
)
from vast_metrics.landmarks import LandmarkDistance
from vast_metrics.lips import LipClosing, LipCorrelation, LipSize, LipVertexError
from vast_metrics.motion import MotionStability, UpperFaceDynamics

PARTS = [
    (LipVertexError, LipVertexErrorConfig()),
    (LipCorrelation, LipCorrelationConfig()),
    (LipSize, LipSizeConfig()),
    (LipClosing, LipClosingConfig()),
    (LandmarkDistance, LandmarkDistanceConfig()),
    (UpperFaceDynamics, UpperFaceDynamicsConfig()),
    (MotionStability, MotionStabilityConfig()),
]
PERFECT = {
    "lip_vertex_error": 0.0,
    "lip_correlation": 1.0,
    "lip_size": 1.0,
    "lip_size_deviation": 0.0,
    "lip_closing": 1.0,
    "lip_closing_wrong": 0.0,
    "landmark_distance_mouth": 0.0,
    "landmark_distance_face": 0.0,
    "upper_face_dynamics": 0.0,
    "motion_stability_deviation": 0.0,
}


SPREADS = ("upper_face_dynamics", "lip_size", "lip_size_deviation")


@pytest.fixture(params=PARTS, ids=lambda part: part[0].__name__)
def metric(request, sizes):
    kind, config = request.param
    return kind.from_config(config, sizes)


def test_identical_pair_is_perfect(metric, speech, performance):
    result = metric(performance(speech), performance(speech))
    assert set(result) == {measure.name for measure in metric.measures}
    for name in result.keys() & PERFECT.keys():
        assert result[name] == pytest.approx(PERFECT[name], abs=1e-12)


def test_every_measure_has_a_perfect_value_or_is_absolute():
    named = {measure.name for kind, config in PARTS for measure in kind.measures}
    assert named - PERFECT.keys() == {"motion_stability"}


@pytest.mark.parametrize("shape", [(99, 12, 3), (100, 11, 3)])
def test_other_shape_names_both(metric, shape, speech, performance):
    with pytest.raises(ValueError, match=r"\(100, 12, 3\)") as caught:
        metric(performance(torch.zeros(shape)), performance(speech))
    assert str(shape) in str(caught.value)


def test_missing_and_broken_sides_are_named(metric, speech, performance):
    with pytest.raises(ValueError, match="reference has no vertices"):
        metric(performance(speech), performance(None))
    broken = speech.clone()
    broken[41, 3, 1] = float("nan")
    with pytest.raises(ValueError, match="prediction are not finite, first in frame 41 of 100"):
        metric(performance(broken), performance(speech))


def test_another_unit_is_refused(metric, speech, performance, face):
    with pytest.raises(ValueError, match=r"1\.0 mm .* 10\.0 mm"):
        metric(performance(speech, face=type(face)(millimetres=1.0)), performance(speech))


def test_the_order_of_frames_matters(metric, speech, performance):
    shuffled = speech[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    same, other = (metric(performance(x), performance(speech)) for x in (speech, shuffled))
    for measure in metric.measures:
        if measure.name in SPREADS:  # blind to order by definition
            assert other[measure.name] == pytest.approx(PERFECT[measure.name], abs=1e-4)
        elif measure.better == "lower":
            assert other[measure.name] > same[measure.name] + 0.1
        elif measure.better == "higher":
            assert other[measure.name] < same[measure.name] * 0.5
        else:
            assert abs(other[measure.name]) > 3


def test_lip_vertex_error_is_numpys(speech, performance):
    other = speech + 0.1 * torch.randn(speech.shape, generator=torch.Generator().manual_seed(5))
    x, y = other.numpy().astype(np.float64) * 10, speech.numpy().astype(np.float64) * 10
    worst = [max(sum((x[t, v] - y[t, v]) ** 2) for v in (0, 1, 2, 3)) for t in range(100)]
    result = LipVertexError()(performance(other), performance(speech))
    assert result["lip_vertex_error"] == pytest.approx(np.mean(worst), rel=1e-9)


def test_lip_vertex_error_of_one_moved_lip_is_its_square_in_mm2(speech, performance):
    moved = speech.clone()
    moved[:, 2] += torch.tensor([0.3, 0.0, 0.4])  # 0.5 canonical units = 5 mm.
    moved[:, 10] += 100.0  # Not a lip: must not count.
    result = LipVertexError()(performance(moved), performance(speech))
    assert result["lip_vertex_error"] == pytest.approx(25.0, rel=1e-5)


def test_a_longer_delay_costs_more(speech, performance):
    def delayed(by):
        a, b = performance(speech[: 100 - by]), performance(speech[by:])
        return LipVertexError()(a, b)["lip_vertex_error"], LipCorrelation()(a, b)["lip_correlation"]

    errors, correlations = zip(*(delayed(by) for by in (0, 1, 2)), strict=True)
    assert errors[0] < errors[1] < errors[2]
    assert correlations[0] > correlations[1] > correlations[2]


def test_landmark_distance_of_a_shift(speech, performance):
    shifted = speech.clone()
    shifted[:, :4] += torch.tensor([0.0, 0.6, 0.8])  # The lips, by 10 mm.
    result = LandmarkDistance()(performance(shifted), performance(speech))
    assert result["landmark_distance_mouth"] == pytest.approx(10.0, rel=1e-5)
    assert result["landmark_distance_face"] == pytest.approx(10.0 * 4 / 12, rel=1e-5)


def test_upper_face_dynamics_of_a_known_motion(neutral, performance, face):
    # Displacement d and 0 in turn: |d|^2 is d^2 and 0, whose standard deviation is d^2 / 2.
    def flicker(d):
        vertices = neutral.repeat(40, 1, 1)
        vertices[::2, face.upper_face, 0] += d
        vertices[::2, 0] += 50.0  # A lip: must not count.
        return performance(vertices)

    result = UpperFaceDynamics()(flicker(0.2), flicker(0.6))["upper_face_dynamics"]
    assert result == pytest.approx(100 * (0.36 - 0.04) / 2, rel=1e-4)
    assert UpperFaceDynamics()(flicker(0.6), flicker(0.2))["upper_face_dynamics"] == pytest.approx(-result, rel=1e-6)


def test_upper_face_dynamics_needs_a_neutral_face_that_fits(speech, performance, neutral):
    with pytest.raises(ValueError, match="reference has no neutral"):
        UpperFaceDynamics()(performance(speech), performance(speech, neutral=None))
    with pytest.raises(ValueError, match=r"\(11, 3\).*\(100, 12, 3\)"):
        UpperFaceDynamics()(performance(speech), performance(speech, neutral=neutral[:11]))


def wave(amplitude, neutral, frames=102, turn=2 * math.pi / 10):
    """Every vertex up and down by ``amplitude`` canonical units, ten frames a period."""
    time = torch.arange(frames, dtype=torch.float64)
    vertices = neutral.double().repeat(frames, 1, 1)
    vertices[:, :, 1] += amplitude * torch.sin(turn * time)[:, None]
    return vertices


def test_motion_stability_of_a_sine(neutral, performance):
    # The second difference of a sine is -(2 - 2 cos w) times the sine, whose variance over whole periods is 1/2.
    x, y = performance(wave(0.2, neutral)), performance(wave(0.1, neutral))
    result = MotionStability(1e-6)(x, y)
    metres = 0.2 * 10 / 1000 * (2 - 2 * math.cos(2 * math.pi / 10)) * 25**2
    assert result["motion_stability"] == pytest.approx(2 / metres**2, rel=1e-6)
    assert result["motion_stability_deviation"] == pytest.approx(-20 * math.log10(2), rel=1e-6)


def test_motion_stability_of_stillness_and_of_free_fall_is_the_ceiling(neutral, performance):
    time = torch.arange(50.0, dtype=torch.float64)
    falling = neutral.double() - 0.001 * time[:, None, None] ** 2
    for steady in (neutral.repeat(50, 1, 1), falling):
        result = MotionStability(1e-4)(performance(steady), performance(steady))
        assert result == {"motion_stability": 1e4, "motion_stability_deviation": 0.0}


def test_jitter_lowers_motion_stability(speech, performance):
    draw = torch.Generator().manual_seed(1)
    scores = [
        MotionStability(1e-6)(performance(speech + s * torch.randn(speech.shape, generator=draw)), performance(speech))
        for s in (0.01, 0.1, 0.5)
    ]
    indices = [score["motion_stability"] for score in scores]
    assert indices == sorted(indices, reverse=True)
    assert scores[-1]["motion_stability_deviation"] < -3


def test_motion_stability_needs_one_rate_and_four_frames(speech, performance):
    with pytest.raises(ValueError, match=r"30\.0 fps, the reference 25\.0"):
        MotionStability(1e-6)(performance(speech, fps=30.0), performance(speech))
    with pytest.raises(ValueError, match="at least 4 frames, the clip has 3"):
        MotionStability(1e-6)(performance(speech[:3]), performance(speech[:3]))


def test_floor_must_be_positive():
    with pytest.raises(ValueError, match="floor"):
        MotionStabilityConfig(floor=0.0)


def test_lip_correlation_is_numpys_and_blind_to_size(speech, performance, face):
    other = speech + 0.2 * torch.randn(speech.shape, generator=torch.Generator().manual_seed(2))
    opening = [face.lip_opening(x).double().numpy() for x in (other, speech)]
    result = LipCorrelation()(performance(other), performance(speech))["lip_correlation"]
    assert 0.2 < result < 0.95
    assert result == pytest.approx(np.corrcoef(*opening)[0, 1], abs=1e-9)


def test_a_still_mouth_correlates_with_nothing(speech, performance):
    still = speech[:1].repeat(100, 1, 1)
    assert LipCorrelation()(performance(still), performance(speech)) == {"lip_correlation": 0.0}


def mouth(face, neutral, opening):
    """Vertices (T, 12, 3) whose inner lips are ``opening`` (T,) apart, relative to the distance of the eyes."""
    eyes = (neutral[8] - neutral[9]).norm()
    vertices = neutral.repeat(len(opening), 1, 1)
    vertices[:, 1] = vertices[:, 0]
    vertices[:, 1, 1] += torch.as_tensor(opening, dtype=torch.float32) * eyes
    return vertices


def lips(metric, ours, theirs, performance, face, neutral):
    return metric(*(performance(mouth(face, neutral, side)) for side in (ours, theirs)))


def test_size_is_the_ratio_of_deviations_and_blind_to_timing(performance, face, neutral):
    theirs = 0.3 + 0.2 * np.sin(np.arange(100))
    for ours, size in ((0.3 + 0.5 * (theirs - 0.3), 0.5), (theirs[::-1].copy() * 1.4, 1.4), (np.full(100, 0.3), 0.0)):
        found = lips(LipSize(), ours, theirs, performance, face, neutral)
        assert found == pytest.approx({"lip_size": size, "lip_size_deviation": size - 1}, abs=1e-5)


def test_closing_is_counted_at_the_references_percentiles(performance, face, neutral):
    theirs = np.arange(100) / 100  # 15 %: 15 frames, 0 to 0.14; 30 %: 0.297; above the median: 50 frames
    ours = theirs.copy()
    ours[:6] = 0.5  # 6 of 15 do not close
    ours[60:65] = 0.1  # 5 of 50 close wrongly
    found = lips(LipClosing(), ours, theirs, performance, face, neutral)
    assert found == pytest.approx({"lip_closing": 9 / 15, "lip_closing_wrong": 5 / 50})
    shut, wide = (lips(LipClosing(), np.full(100, x), theirs, performance, face, neutral) for x in (0.0, 0.9))
    assert shut == {"lip_closing": 1, "lip_closing_wrong": 1}
    assert wide == {"lip_closing": 0, "lip_closing_wrong": 0}


@pytest.mark.parametrize("kind", [LipSize, LipClosing])
def test_a_reference_that_never_opens_its_mouth_gives_no_number(kind, speech, performance):
    with pytest.raises(NotComputed, match="never moves"):
        kind()(performance(speech), performance(speech[:1].repeat(100, 1, 1)))
