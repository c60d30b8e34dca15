"""Where a system stands beside published ones. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PUBLISHED: Mapping[str, float] = MappingProxyType(
    {
        "LivePortrait (video-driven)": 0.935,
        "Hallo2": 0.848,
        "EchoMimic": 0.821,
        "OmniAvatar": 0.806,
        "FLOAT": 0.794,
        "SadTalker": 0.732,
        "Real3DPortrait": 0.668,
        "Wav2Lip": 0.650,
    }
)
"""Composite of THEval over its eight measures, by its authors, on their 85,000 videos (arXiv 2511.04520)."""

ALL = 8
"""Measures of the published composite."""

OTHERS = "published: other videos, all eight measures, trackers of their own"


def standing(system: str, score: float, measures: int) -> list[tuple[str, float, str]]:
    """Systems with composite and note, the best first."""
    own = (system, score, f"this evaluation: {measures} of {ALL} measures")
    rows = [own, *((name, value, OTHERS) for name, value in PUBLISHED.items())]
    return sorted(rows, key=lambda row: -row[1])
