"""The composites: how near a system is to real videos in all measures together.

The published composite agrees with a user study with Spearman's rho .870 over 17 systems, where FID, FVD and LSE are
near zero or negative.
"""

from __future__ import annotations

from typing import Any, Self

from vast_core.interfaces import Measure, Sizes

from ..config import FieldConfig
from . import published, quality, steady
from .measure import Composite, FieldMeasure

PUBLISHED: tuple[type[FieldMeasure], ...] = (
    published.LipDynamics,
    published.BrowDynamics,
    published.HeadMotion,
    published.SilentLips,
    published.LipSync,
)
QUALITY: tuple[type[FieldMeasure], ...] = (quality.Aesthetics, quality.MouthQuality, quality.FaceQuality)
STEADY: tuple[type[FieldMeasure], ...] = (
    steady.LipDynamics,
    steady.BrowDynamics,
    steady.HeadDynamics,
    steady.SilentLips,
    steady.LoudLips,
)


class THEval(Composite):
    """THEval: mean of ``1 - |m - m_real| / |m_real|`` over its eight measures, or those of them that are computed."""

    measures = (Measure(name="theval", better="higher"),)

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """Build with the options of the quality measures."""
        kinds = [*((kind, FieldConfig()) for kind in PUBLISHED), *((kind, config) for kind in QUALITY)]
        return cls({kind.measures[0].name: kind(options) for kind, options in kinds})


class Liveliness(Composite):
    """The same mean over the five mended measures."""

    measures = (Measure(name="liveliness", better="higher"),)

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls({kind.measures[0].name: kind(config) for kind in STEADY})
