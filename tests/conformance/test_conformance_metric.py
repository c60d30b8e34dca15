"""The rules of metrics: a sound component keeps all of them, and each broken one falls to its own rule alone."""

from __future__ import annotations

import attrs
import pytest

from vast_core import Component
from vast_core.interfaces import Measure, Metric, PooledMetric
from vast_core.testing.kit import Subject, check, rules


def distance_config():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class DistanceConfig:
        """It has no options."""

    return DistanceConfig


COMPONENT = Component(
    kind="metric",
    name="distance",
    target="distance:Distance",
    config=distance_config(),
    summary="mean distance of corresponding vertices, mm",
)


class Distance(Metric):
    """Mean over frames and vertices of |x - y|, mm."""

    needs = "vertices"
    measures = (Measure(name="distance", better="lower", unit="mm"),)

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def __call__(self, prediction, reference):
        x, y = prediction.vertices, reference.vertices
        if x.shape != y.shape:
            raise ValueError(f"distance: vertices are {tuple(x.shape)} and {tuple(y.shape)}")
        return {"distance": float((x - y).norm(dim=-1).mean()) * reference.face.millimetres}


class Directionless(Distance):
    measures = (Measure(name="distance", better="nearer", unit="mm"),)


class NeedsSomethingElse(Distance):
    needs = "landmarks"


class SaysMore(Distance):
    def __call__(self, prediction, reference):
        return super().__call__(prediction, reference) | {"extra": 0.0}


class DividesByMotion(Distance):
    def __call__(self, prediction, reference):
        still = bool((reference.vertices == reference.vertices[:1]).all()) and len(reference.vertices) > 3
        return {"distance": float("nan") if still else super().__call__(prediction, reference)["distance"]}


class Remembers(Distance):
    def __init__(self):
        self.calls = 0

    def __call__(self, prediction, reference):
        self.calls += 1
        return {"distance": super().__call__(prediction, reference)["distance"] * (1 + 1e-5 * self.calls)}


class CentresInPlace(Distance):
    def __call__(self, prediction, reference):
        reference.vertices.sub_(prediction.vertices[:1, :1] * 0.01)
        prediction.vertices.sub_(prediction.vertices[:1, :1] * 0.01)
        return super().__call__(prediction, reference)


class PraisesDistance(Distance):
    measures = (Measure(name="distance", better="higher", unit="mm"),)


class SeesOneVertex(Distance):
    def __call__(self, prediction, reference):
        super().__call__(prediction, reference)
        return {"distance": 0.0}


class WantsARegion(Distance):
    """Mean absolute error of frames over the face."""

    needs = "frames"
    measures = (Measure(name="error", better="lower"),)

    def __call__(self, prediction, reference):
        if len(prediction.frames) != len(reference.frames):
            raise ValueError("error: clips are of unequal length")
        off = (prediction.frames - reference.frames).abs().mean(1, keepdim=True)
        return {"error": float((off * reference.region).sum() / reference.region.sum())}


class FailsOnOneFrame(Distance):
    def __call__(self, prediction, reference):
        prediction.vertices[1]
        return super().__call__(prediction, reference)


class CutsTheLonger(Distance):
    def __call__(self, prediction, reference):
        frames = min(len(prediction.vertices), len(reference.vertices))
        prediction, reference = (attrs.evolve(p, vertices=p.vertices[:frames]) for p in (prediction, reference))
        return super().__call__(prediction, reference)


class ForgetsTheRest(Distance, PooledMetric):
    """Keeps what the last clip says."""

    def part(self, prediction, reference):
        return Distance.__call__(self, prediction, reference)

    def pool(self, parts):
        return parts[-1]


MUTANTS = {
    "measures declared": Directionless,
    "needs declared": NeedsSomethingElse,
    "one number a measure": SaysMore,
    "finite": DividesByMotion,
    "repeatable": Remembers,
    "leaves the pair alone": CentresInPlace,
    "identical is best": PraisesDistance,
    "notices": SeesOneVertex,
    "region is optional": WantsARegion,
    "short clips": FailsOnOneFrame,
    "unequal clips": CutsTheLonger,
    "pooled in any order": ForgetsTheRest,
}


def outcomes(implementation):
    return check(Subject.of(COMPONENT, implementation=implementation))


def test_a_sound_component_keeps_every_rule():
    found = outcomes(Distance)
    assert {o.rule.name: o.detail for o in found if o.state == "broken"} == {}
    assert {o.rule.name for o in found if o.state == "kept"} >= set(MUTANTS) - {
        "region is optional",
        "pooled in any order",
    }


def test_each_rule_has_its_mutant():
    assert {rule.name for rule in rules("metric") if rule.check.__module__.endswith(".metric")} == set(MUTANTS)


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant_falls_to_its_own_rule_alone(rule):
    assert {o.rule.name: o.detail for o in outcomes(MUTANTS[rule]) if o.state == "broken"}.keys() == {rule}
