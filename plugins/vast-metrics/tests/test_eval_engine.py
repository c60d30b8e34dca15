"""Metrics on pairs: what is kept of each clip, what is made of all, and what becomes of metrics that cannot tell."""

import sys
import types

import attrs
import pytest
import torch

from vast_core import Component, hookimpl
from vast_core.errors import NotComputed, VastError
from vast_core.interfaces import Measure, Metric, Performance, PooledMetric
from vast_core.registry import Registry
from vast_metrics.evaluation import bootstrap
from vast_metrics.evaluation.engine import Engine, Pair
from vast_metrics.evaluation.protocol import Protocol

NAMES = ("level", "fussy", "broken", "infinite", "strange", "spread", "ranked", "some", "averaged", "moody", "pictures")


@attrs.frozen(kw_only=True)
class NoOptions:
    """None."""


def level(performance):
    return float(performance.vertices.mean())


class Plain(Metric):
    needs = "vertices"
    measures = (Measure(name="level", better="lower", unit="mm"),)

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def __call__(self, prediction, reference):
        return {self.measures[0].name: level(prediction) - level(reference)}


class Level(Plain): ...


class Fussy(Plain):
    """Tells nothing of levels below 2."""

    measures = (Measure(name="fussy", better="higher"),)

    def __call__(self, prediction, reference):
        if level(prediction) < 2:
            raise NotComputed("it is too quiet")
        return super().__call__(prediction, reference)


class Broken(Plain):
    measures = (Measure(name="broken", better="higher"),)

    def __call__(self, prediction, reference):
        raise ZeroDivisionError("oh")


class Infinite(Plain):
    measures = (Measure(name="infinite", better="higher"),)

    def __call__(self, prediction, reference):
        return {"infinite": float("inf")}


class Strange(Plain):
    measures = (Measure(name="strange", better="higher"),)

    def __call__(self, prediction, reference):
        return {"other": 1.0}


class Spread(PooledMetric, Plain):
    measures = (Measure(name="spread", better="neither"),)
    resampled = True

    def part(self, prediction, reference):
        return level(prediction)

    def pool(self, parts):
        return {"spread": max(parts) - min(parts)}


class Ranked(Spread):
    measures = (Measure(name="ranked", better="higher"),)
    resampled = False

    def pool(self, parts):
        return {"ranked": max(parts)}

    def each(self, parts):
        return [{"ranked": sorted(parts).index(part)} for part in parts]


class Some(Spread):
    """Has no value of its own for clips below 2, and makes of all what is not their mean."""

    measures = (Measure(name="some", better="higher"),)
    resampled = False

    def pool(self, parts):
        return {"some": max(parts)}

    def each(self, parts):
        return [{"some": part} if part >= 2 else {} for part in parts]


class Averaged(Some):
    """The same, but what it makes of all is the mean of those that have a value."""

    measures = (Measure(name="averaged", better="higher"),)

    def pool(self, parts):
        return {"averaged": sum(part for part in parts if part >= 2) / sum(part >= 2 for part in parts)}

    def each(self, parts):
        return [{"averaged": part} if part >= 2 else {} for part in parts]


class Moody(Plain):
    """Has another reason for each level."""

    measures = (Measure(name="moody", better="higher"),)

    def __call__(self, prediction, reference):
        raise NotComputed(f"it does not like {level(prediction):g}")


class Pictures(Plain):
    needs = "frames"
    measures = (Measure(name="pictures", better="higher"),)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    module = types.ModuleType("eight_metrics")
    monkeypatch.setitem(sys.modules, "eight_metrics", module)
    for kind in (Level, Fussy, Broken, Infinite, Strange, Spread, Ranked, Some, Averaged, Moody, Pictures):
        setattr(module, kind.__name__, kind)

    class Plugin:
        @staticmethod
        @hookimpl
        def vast_components():
            return [
                Component(
                    kind="metric",
                    name=name,
                    target=f"eight_metrics:{name.title()}",
                    config=NoOptions,
                    summary="Levels.",
                )
                for name in NAMES
            ]

    registry = Registry.discover()
    registry.register(Plugin, name="levels", distribution="levels", version="3.1")
    metrics = "".join(f"  - use: {name}\n" for name in NAMES)
    text = f"protocol: 1\nface: {{use: landmarks}}\naudio: {{use: mel}}\nmetrics:\n{metrics}"
    (tmp_path / "levels.yaml").write_text(text)
    return Engine.of(Protocol.load(str(tmp_path / "levels.yaml"), registry), registry)


def pair(engine, name, height):
    sides = [
        Performance(
            face=engine.pipeline.face, fps=25.0, name=name, speaker="ada", vertices=torch.full((50, 468, 3), value)
        )
        for value in (height, 0.0)
    ]
    lacking = {"frames": "the avatar is another person"}
    return Pair(prediction=sides[0], reference=sides[1], frames=50, lacking=lacking, notes=("as it is",))


@pytest.fixture
def evaluation(engine, monkeypatch):
    monkeypatch.setattr(bootstrap, "FEWEST", 2)  # or three clips would have no interval to look at
    for number, height in enumerate((1.0, 2.0, 6.0)):
        engine.measure(pair(engine, f"clip {number}", height))
    engine.leave_out("clip 3", "is no video")
    return engine.conclude(generated="made", reference="real", geometry="tracked")


def test_a_mean_is_over_the_clips_that_have_a_value(evaluation):
    assert evaluation.overall["level"].value == 3
    assert evaluation.overall["level"].clips == 3
    assert evaluation.overall["fussy"].value == 4
    assert evaluation.overall["fussy"].clips == 2
    assert [clip.values["level"] for clip in evaluation.clips] == [1, 2, 6]
    assert evaluation.clips[0].not_computed["fussy"] == "it is too quiet"
    assert "fussy" not in evaluation.not_computed


def test_a_metric_that_fails_costs_no_other(evaluation):
    assert evaluation.not_computed == {
        "broken": "it failed: ZeroDivisionError: oh",
        "infinite": "it failed: ValueError: infinite is inf",
        "strange": "it failed: ValueError: it returned other, but declares strange",
        "moody": "it does not like 1 (and 2 other reasons, listed by clip)",
        "pictures": "the avatar is another person",
    }
    assert all(clip.not_computed["broken"] == "it failed: ZeroDivisionError: oh" for clip in evaluation.clips)
    assert not {"broken", "infinite", "strange", "other", "pictures"} & evaluation.overall.keys()


def test_a_pooled_metric_judges_all_clips_together(evaluation):
    spread, ranked = evaluation.overall["spread"], evaluation.overall["ranked"]
    assert (spread.value, spread.clips, ranked.value) == (5, 3, 6)
    assert (spread.low, spread.high) == (0, 5)
    assert [clip.values["ranked"] for clip in evaluation.clips] == [0, 1, 2]
    assert 0 <= ranked.low < ranked.high <= 2  # of its values by clip, as it cannot be resampled


def test_an_interval_of_values_by_clip_needs_that_they_speak_of_the_whole(evaluation):
    """Of some clips only, it applies if what is made of all is their mean."""
    some, averaged = evaluation.overall["some"], evaluation.overall["averaged"]
    assert (some.value, some.low, some.high, some.clips) == (6, None, None, 3)
    assert (averaged.value, averaged.clips) == (4, 2)
    assert 2 <= averaged.low < averaged.high <= 6


def test_the_commonest_reason_is_told_and_how_many_others_there_are(engine):
    for number, height in enumerate((1.0, 3.0, 3.0)):
        engine.measure(pair(engine, f"clip {number}", height))
    found = engine.conclude(generated="made", reference="real", geometry="tracked")
    assert found.not_computed["moody"] == "it does not like 3 (and another reason, listed by clip)"
    assert engine.seconds == 3 * 50 / 25


def test_what_is_known_of_measures_and_clips_is_told(evaluation):
    assert list(evaluation.measures) == list(NAMES)
    own = evaluation.measures["level"]
    assert (own.metric, own.provider, own.better, own.unit) == ("level", "levels 3.1", "lower", "mm")
    assert len(evaluation.digest) == 64
    assert [(own.clip, own.reason) for own in evaluation.left_out] == [("clip 3", "is no video")]
    clip = evaluation.clips[1]
    assert (clip.name, clip.speaker, clip.frames, clip.notes) == ("clip 1", "ada", 50, ("as it is",))
    assert {name: len(curve) for name, curve in clip.curves.items()} == {"generated": 50, "reference": 50}


def test_one_clip_has_no_interval(engine):
    engine.measure(pair(engine, "alone", 2.0))
    found = engine.conclude(generated="made", reference="real", geometry="tracked").overall
    assert all(own.low is own.high is None for own in found.values())


def test_no_clip_is_an_error_with_every_reason(engine):
    engine.leave_out("a", "is no video")
    engine.leave_out("b", "shows no face")
    with pytest.raises(VastError, match=r"no clip could be measured:\n  a: is no video\n  b: shows no face"):
        engine.conclude(generated="made", reference="real", geometry="tracked")
