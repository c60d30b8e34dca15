"""What is said of a slider's effect, on movements made for it."""

from __future__ import annotations

import numpy as np
import pytest

from vast_metrics.stages.slider_effects import _Products, lines

NAMES = ["smile", "brow"]
VERTICES = 200


@pytest.fixture
def true():
    """True movements (2, 600) of two factors, not alike."""
    return np.random.default_rng(0).standard_normal((2, 3 * VERTICES))


def test_the_truth_itself_is_perfect(true):
    for row in range(2):
        effect = _Products(true, true).effect(row, NAMES)
        assert effect["correlation"] == pytest.approx(1)
        assert effect["gain"] == pytest.approx(1)
        assert effect["elsewhere"] == pytest.approx(0, abs=1e-9)
        assert effect["besides"] == {}
        assert effect["true_mm"] == pytest.approx(np.sqrt(np.square(true[row]).sum() / VERTICES))


def test_half_the_movement_is_half_the_gain_and_the_wrong_way_is_negative(true):
    half = _Products(0.5 * true, true).effect(0, NAMES)
    assert (half["gain"], half["correlation"]) == (pytest.approx(0.5), pytest.approx(1))
    assert half["mm"] == pytest.approx(0.5 * half["true_mm"])
    wrong = _Products(-true, true).effect(0, NAMES)
    assert (wrong["gain"], wrong["correlation"]) == (pytest.approx(-1), pytest.approx(-1))


def test_another_factor_that_moves_as_well_is_named(true):
    caused = true.copy()
    caused[0] = true[0] + true[1] * np.linalg.norm(true[0]) / np.linalg.norm(true[1])
    effect = _Products(caused, true).effect(0, NAMES)
    assert effect["elsewhere"] == pytest.approx(0.5, abs=0.05)
    assert list(effect["besides"]) == ["brow"]
    assert effect["besides"]["brow"] == pytest.approx(0.5, abs=0.05)
    assert _Products(caused, true).effect(1, NAMES)["besides"] == {}


def test_movement_that_no_factor_makes_is_elsewhere(true):
    noise = np.random.default_rng(1).standard_normal(true.shape)
    effect = _Products(true + noise, true).effect(0, NAMES)
    assert effect["elsewhere"] == pytest.approx(0.5, abs=0.1)
    assert effect["besides"] == {}


def test_sentences_add_up(true):
    other = np.random.default_rng(2).standard_normal(true.shape)
    both = _Products(other, true) + _Products(true, other)
    whole = _Products(np.hstack([other, true]), np.hstack([true, other]))
    for own, joined in ((both.uu, whole.uu), (both.uv, whole.uv), (both.vv, whole.vv)):
        np.testing.assert_allclose(own, joined)


def test_a_factor_that_does_not_show_and_a_slider_that_does_nothing(true):
    still = true.copy()
    still[0] = 0
    effect = _Products(true, still).effect(0, NAMES)
    assert (effect["correlation"], effect["gain"], effect["true_mm"]) == (None, None, 0)
    idle = _Products(0 * true, true).effect(0, NAMES)
    assert (idle["correlation"], idle["gain"], idle["elsewhere"]) == (0, 0, 1)
    figures = {"factors": {"smile": {"low": effect, "high": idle}}}
    assert list(lines(figures)) == [
        "slider smile, alone, -1: does not show in the true face",
        "slider smile, alone, +1: correlation 0.00, gain 0.00, elsewhere 100%",
    ]
