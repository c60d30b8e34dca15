"""Styles: vectors of interpretable factors, and drawing a set of them."""

from __future__ import annotations

import attrs
import numpy as np


def _factor(low: float, high: float, neutral: float) -> float:
    """Declare a factor with its range; the default is the neutral value."""
    value: float = attrs.field(default=neutral, metadata={"low": low, "high": high})
    return value


@attrs.frozen(kw_only=True)
class Style:
    """How a face moves, independently of what it says; defaults are neutral. All factors are our choice."""

    jaw: float = _factor(0.5, 1.6, 1.0)
    """Amplitude of the jaw and of the lips that follow it: mumbled to over-articulated."""
    rounding: float = _factor(0.3, 1.4, 1.0)
    """Amplitude of rounding and protrusion (W, UW, SH)."""
    spreading: float = _factor(0.3, 1.8, 1.0)
    """Amplitude of spreading (IY, S); above 1 the lips stay tense between these sounds, too."""
    smile: float = _factor(-0.6, 1.0, 0.1)
    """Rest position of the corners of the mouth: turned down to smiling."""
    asymmetry: float = _factor(-1.0, 1.0, 0.0)
    """Asymmetry of smile, mouth and brows; positive favours the speaker's left, the right of the picture."""
    brow: float = _factor(-1.0, 1.0, 0.0)
    """Rest height of the brows: frowning to raised."""
    emphasis: float = _factor(0.0, 1.0, 0.35)
    """Rise of the brows on stressed vowels."""
    inner_brow: float = _factor(-1.0, 1.0, 0.0)
    """Inner ends of the brows: drawn together and down, as in anger, to raised, as in grief."""
    cheeks: float = _factor(0.0, 1.0, 0.0)
    """Cheeks pushed up under the eyes."""
    sneer: float = _factor(0.0, 1.0, 0.0)
    """Wrinkled nose and raised upper lip of disgust."""
    lip_raise: float = _factor(-0.4, 1.0, 0.1)
    """Rise of the upper lip, at rest and more so in open vowels; below 0 it is drawn down over the teeth."""
    lip_lower: float = _factor(-0.5, 1.0, 0.0)
    """Lower lip at rest: pushed up by the chin to drawn down, with the lower teeth bared."""
    stretch: float = _factor(-0.6, 1.0, 0.0)
    """Width of the mouth at rest: narrow to stretched, as in fear."""
    pucker: float = _factor(0.0, 0.7, 0.0)
    """Rounding of the lips at rest."""
    parted: float = _factor(0.0, 0.5, 0.0)
    """Opening of the jaw at rest, as in surprise."""
    eyes: float = _factor(-1.0, 1.0, 0.0)
    """Openness of the eyes: narrowed to wide."""
    lag: float = _factor(-0.08, 0.08, 0.0)
    """Seconds by which lips and jaw follow (positive) or lead (negative) the sound."""
    head: float = _factor(0.3, 1.8, 1.0)
    """Energy of head motion."""


FACTORS: tuple[str, ...] = tuple(field.name for field in attrs.fields(Style))
RANGES: dict[str, tuple[float, float]] = {
    field.name: (field.metadata["low"], field.metadata["high"]) for field in attrs.fields(Style)
}


def draw_styles(count: int, generator: np.random.Generator) -> list[Style]:
    """``count`` styles spread over the ranges of the factors by a Latin hypercube (McKay, Beckman & Conover 1979).

    Each range is divided into ``count`` equal strata, and each stratum is used once, at a random place.
    """
    strata = np.stack([generator.permutation(count) for _ in FACTORS], axis=1)
    places = (strata + generator.random(strata.shape)) / max(count, 1)
    low, high = np.array([RANGES[name] for name in FACTORS]).T
    return [Style(**dict(zip(FACTORS, map(float, row), strict=True))) for row in low + places * (high - low)]
