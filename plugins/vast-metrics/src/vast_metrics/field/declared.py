"""Declarations of the measures of the field; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from vast_core import Component

from ..config import FieldConfig, QualityConfig

_THEVAL = "Quignon et al. 2026, THEval"
_HERE = __name__.rpartition(".")[0]


def field_components() -> Iterator[Component]:
    """The components."""
    for name, target, summary in (
        ("lip_dynamics", "LipDynamics", "spread of the lips' shape over time, pixels of 256"),
        ("brow_dynamics", "BrowDynamics", "change of the brows' height from frame to frame"),
        ("head_motion", "HeadMotion", "spread of the head's angles and place"),
        ("silent_lips", "SilentLips", "movement of the lips in pauses"),
        ("lip_sync", "LipSync", "difference of the lips' opening and loudness"),
    ):
        yield _component(f"theval_{name}", f"published:{target}", f"THEval, as published: {summary}", FieldConfig)
    for name, target, summary in (
        ("aesthetics", "Aesthetics", "aesthetics by TOPIQ-IAA"),
        ("mouth_quality", "MouthQuality", "quality of the mouth by MUSIQ"),
        ("face_quality", "FaceQuality", "quality of the face by TOPIQ-NR-face"),
    ):
        own = f"THEval: {summary}, if pyiqa is installed"
        yield _component(f"theval_{name}", f"quality:{target}", own, QualityConfig)
    yield _component(
        "theval", "composites:THEval", "THEval: mean score of its measures that are computed", QualityConfig
    )
    for name, target, summary in (
        ("lip_dynamics", "LipDynamics", "spread of the lips' shape over time, in distances of the eyes"),
        ("brow_dynamics", "BrowDynamics", "speed of the brows, in distances of the eyes per second"),
        ("head_dynamics", "HeadDynamics", "spread of the head's angles and place, in the face's own size"),
        ("silent_lips", "SilentLips", "movement of the lips in pauses, away from sound"),
        ("loud_lips", "LoudLips", "difference of the lips' opening and loudness, by percentiles"),
    ):
        yield _component(name, f"steady:{target}", summary, FieldConfig)
    yield _component("liveliness", "composites:Liveliness", "mean score of the five mended measures", FieldConfig)


def _component(name: str, target: str, summary: str, config: type) -> Component:
    return Component(
        kind="metric", name=name, target=f"{_HERE}.{target}", config=config, summary=summary, reference=_THEVAL
    )
