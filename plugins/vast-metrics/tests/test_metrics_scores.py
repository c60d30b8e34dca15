"""What metrics say of a set of clips, where some cannot tell and some judge the set as a whole."""

import math

import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, PooledMetric
from vast_metrics.stages.scores import Scores


class Loudness(Metric):
    needs = "vertices"
    measures = (Measure(name="loudness", better="neither"),)

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def __call__(self, prediction, reference):
        if prediction.wave is None:
            raise NotComputed("no sound is known")
        return {"loudness": float(prediction.wave.abs().max())}


class Spread(PooledMetric):
    needs = "vertices"
    measures = (Measure(name="spread", better="neither"),)

    def __init__(self, least=2):
        self.least = least

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def part(self, prediction, reference):
        return float(prediction.wave.abs().max()) if prediction.wave is not None else 0.0

    def pool(self, parts):
        if len(parts) < self.least:
            raise NotComputed(f"{len(parts)} clips, and {self.least} are needed")
        return {"spread": max(parts) - min(parts)}


def clip(level):
    return Performance(face=None, fps=25.0, wave=None if level is None else torch.full((10,), level))


def test_a_mean_is_over_the_clips_that_have_the_measure_and_a_pooled_one_over_all():
    scores = Scores([Loudness(), Spread()])
    rows = [scores.add(clip(level), clip(0.0)) for level in (0.25, None, 0.75)]
    assert rows == [{"loudness": 0.25}, {}, {"loudness": 0.75}]
    assert scores.overall() == {"loudness": 0.5, "spread": 0.75}
    assert scores.not_computed == {"loudness": "no sound is known"}


def test_what_no_clip_can_tell_is_no_number():
    scores = Scores([Loudness(), Spread(least=3)])
    assert scores.add(clip(None), clip(None)) == {}
    assert scores.overall() == {}
    assert scores.not_computed == {"loudness": "no sound is known", "spread": "1 clips, and 3 are needed"}


def test_a_metric_that_fails_is_said_and_costs_no_other():
    class Broken(Loudness):
        def __call__(self, prediction, reference):
            return {"loudness": math.sqrt(-1)}

    scores = Scores([Broken(), Spread(least=1)])
    assert scores.add(clip(0.5), clip(0.5)) == {}
    assert scores.overall() == {"spread": 0.0}
    assert scores.not_computed["loudness"].startswith("it failed: ValueError: ")


def test_a_number_that_is_none_is_said():
    class Infinite(Loudness):
        def __call__(self, prediction, reference):
            return {"loudness": math.inf}

    scores = Scores([Infinite()])
    assert scores.add(clip(0.5), clip(0.5)) == {}
    assert scores.not_computed == {"loudness": "it failed: ValueError: loudness is inf"}
