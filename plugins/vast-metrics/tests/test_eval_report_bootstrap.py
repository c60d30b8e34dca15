"""Bootstrap intervals: how often they hold the truth, and what scipy makes of the same draws."""

from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from vast_core.interfaces import Measure, PooledMetric
from vast_metrics.evaluation.bootstrap import interval, pooled_intervals, tails, unit_of, units


def alone(count):
    """As many clips of one speaker."""
    return ["ada"] * count


def test_large_samples_have_the_interval_of_a_normal_mean():
    values = np.random.default_rng(1).normal(size=400)
    low, high = interval(values, alone(400), 8000, 1)
    error = values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.004)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.004)
    assert interval(values, alone(400), 8000, 1) == (low, high)


@pytest.mark.parametrize("count", [5, 9, 30])
def test_scipy_finds_the_same_percentiles(count):
    values = np.random.default_rng(2).gamma(2, size=count)
    level = 1 - 2 * tails(count)[0] / 100
    oracle = stats.bootstrap((values,), np.mean, confidence_level=level, method="percentile", n_resamples=20_000, rng=3)
    found = interval(values, alone(count), 20_000, 4)
    assert found == pytest.approx(tuple(oracle.confidence_interval), abs=0.04 * values.std())
    assert level > 0.95


def test_the_tails_give_a_normal_sample_the_length_of_students_interval():
    """A bootstrap mean is about normal with the spread of the sample divided by n, not by n - 1."""
    for count in (5, 12, 100):
        values = np.random.default_rng(count).normal(size=count)
        low, high = stats.norm.ppf(np.array(tails(count)) / 100) * values.std() / np.sqrt(count)
        student = stats.t.interval(0.95, count - 1, scale=stats.sem(values))
        assert (low, high) == pytest.approx(student)


def coverage(draw, runs=1000, resamples=2000):
    """How often the interval of ``draw(rng) -> values, speakers`` holds 0."""
    rng = np.random.default_rng(100)
    held = [low <= 0 <= high for run in range(runs) for low, high in [interval(*draw(rng), resamples, run)]]
    return np.mean(held)


@pytest.mark.parametrize(("count", "least"), [(5, 0.90), (10, 0.91), (30, 0.92)])
def test_intervals_hold_the_mean_about_as_often_as_they_say(count, least):
    assert least < coverage(lambda rng: (rng.normal(size=count), alone(count))) < 0.975


def speech(rng, names):
    """Speakers who differ as much as their clips do, four clips each."""
    speakers = [f"speaker {number}" for number in range(8) for _ in range(4)]
    values = np.repeat(rng.normal(size=8), 4) + rng.normal(size=32)
    return values, speakers if names else alone(32)


def test_clips_of_one_speaker_are_not_counted_as_strangers():
    assert 0.91 < coverage(lambda rng: speech(rng, names=True)) < 0.975
    assert coverage(lambda rng: speech(rng, names=False)) < 0.88  # what it would be


def test_speakers_are_drawn_with_all_their_clips_where_there_are_enough():
    few, many = ["a", "b", "c", "d", "e"] * 2, ["f", "e", "d", "c", "b", "a", "f"]
    assert unit_of(few) == "clips"
    assert [list(places) for places in units(few)] == [[place] for place in range(10)]
    assert unit_of(many) == "speakers"
    assert sorted(tuple(places) for places in units(many)) == [(0, 6), (1,), (2,), (3,), (4,), (5,)]


class Pooled(PooledMetric):
    needs = "vertices"
    measures = (Measure(name="mean", better="lower"), Measure(name="most", better="lower"))

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def part(self, prediction, reference):
        raise NotImplementedError

    def pool(self, parts):
        return {"mean": fmean(parts), "most": max(parts)}


@pytest.mark.parametrize("names", [True, False])
def test_pooling_anew_gives_the_same_interval_as_means(names):
    values, speakers = speech(np.random.default_rng(6), names)
    found = pooled_intervals(Pooled().pool, values, speakers, 3000, 5)
    assert found["mean"] == pytest.approx(interval(values, speakers, 3000, 9), abs=0.06)
    assert found["most"][1] == max(values)


def test_few_clips_have_no_interval_rather_than_a_false_one():
    for count in range(5):
        assert interval([1.0, 2.0, 3.0, 4.0][:count], alone(count), 100, 1) == (None, None)
        assert pooled_intervals(Pooled().pool, [1.0, 2.0, 3.0, 4.0][:count], alone(count), 100, 1) == {}
    assert None not in interval([1.0, 2.0, 3.0, 4.0, 5.0], alone(5), 100, 1)
