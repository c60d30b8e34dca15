"""From phones to control curves: visemes with coarticulation, lip closures, stress, blinks and head motion.

Lip controls are blended by dominance functions (Cohen & Massaro 1993, "Modeling coarticulation in synthetic
visual speech"): segment s with target T_s and dominance D_s(t) = a_s exp(-(theta d)^c) gives

    F(t) = sum_s D_s(t) T_s / sum_s D_s(t)

where d is the time from t to the middle half of the segment (they use its midpoint) and c = 2 (they use 1), so that
long segments are held and the curves have no cusp. The targets and rates below are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.interfaces import Phone

from .style import Style

CONTROLS: tuple[str, ...] = (
    "jaw",
    "round",
    "funnel",
    "spread",
    "raise",
    "lower",
    "tuck",
    "close",
    "shift",
    "smile_left",
    "smile_right",
    "brow_left",
    "brow_right",
    "frown",
    "grief",
    "cheek",
    "sneer",
    "lid_left",
    "lid_right",
)
"""Controls of the head. Left and right are the speaker's; ``lid`` is 1 when shut, 0 open, below 0 wide open."""

Curves = dict[str, NDArray[np.float64]]
"""Curves (T,) by the name of their control."""

_BLENDED = ("jaw", "round", "funnel", "spread", "raise", "lower")
_REACH = np.array([0.075, 0.11, 0.10, 0.085, 0.08, 0.07])
"""1/theta of each blended control in seconds; rounding is anticipated the furthest (our choice)."""


@attrs.frozen
class Target:
    """Lip targets of a phone; ``dominance`` is their weight against those of other phones."""

    jaw: float = 0.0
    round: float = 0.0
    funnel: float = 0.0
    spread: float = 0.0
    lift: float = 0.0
    lower: float = 0.0
    dominance: float = 1.0

    def row(self) -> tuple[float, ...]:
        """The targets in the order of the blended controls."""
        return (self.jaw, self.round, self.funnel, self.spread, self.lift, self.lower)


TARGETS: dict[str, Target] = {
    "SIL": Target(dominance=0.8),
    "P": Target(0.10, dominance=0.5),
    "B": Target(0.10, dominance=0.5),
    "M": Target(0.10, dominance=0.5),
    "F": Target(0.14, lift=0.15, dominance=0.6),
    "V": Target(0.14, lift=0.15, dominance=0.6),
    "TH": Target(0.24, spread=0.10, lower=0.25, dominance=0.6),
    "DH": Target(0.24, spread=0.10, lower=0.25, dominance=0.6),
    "T": Target(0.16, spread=0.15, lower=0.15, dominance=0.4),
    "D": Target(0.16, spread=0.15, lower=0.15, dominance=0.4),
    "N": Target(0.18, spread=0.10, lower=0.10, dominance=0.4),
    "S": Target(0.08, spread=0.45, lift=0.10, lower=0.30, dominance=0.7),
    "Z": Target(0.08, spread=0.45, lift=0.10, lower=0.30, dominance=0.7),
    "SH": Target(0.12, 0.40, 0.95, lift=0.15, lower=0.20, dominance=1.5),
    "ZH": Target(0.12, 0.40, 0.95, lift=0.15, lower=0.20, dominance=1.5),
    "CH": Target(0.12, 0.35, 0.90, lift=0.15, lower=0.20, dominance=1.5),
    "JH": Target(0.12, 0.35, 0.90, lift=0.15, lower=0.20, dominance=1.5),
    "K": Target(0.28, spread=0.10, dominance=0.35),
    "G": Target(0.28, spread=0.10, dominance=0.35),
    "NG": Target(0.28, spread=0.10, dominance=0.35),
    "HH": Target(0.38, dominance=0.15),
    "Y": Target(0.16, spread=0.55, dominance=0.6),
    "L": Target(0.30, spread=0.15, lower=0.10, dominance=0.5),
    "R": Target(0.20, 0.50, 0.45, dominance=0.9),
    "ER": Target(0.28, 0.40, 0.35, dominance=0.9),
    "W": Target(0.12, 1.00, 0.10, dominance=2.2),
    "UW": Target(0.20, 1.00, 0.15, dominance=2.0),
    "UH": Target(0.32, 0.65, 0.15, dominance=1.2),
    "AO": Target(0.70, 0.60, 0.35, dominance=1.2),
    "AA": Target(0.95, spread=0.05, lift=0.15, lower=0.15),
    "AE": Target(0.85, spread=0.40, lift=0.30, lower=0.25),
    "AH": Target(0.55, lower=0.10, dominance=0.8),
    "EH": Target(0.58, spread=0.35, lift=0.15, lower=0.20),
    "IH": Target(0.36, spread=0.40, lower=0.15, dominance=0.8),
    "IY": Target(0.20, spread=0.85, lift=0.15, lower=0.25),
}

DIPHTHONGS: dict[str, tuple[str, str]] = {
    "AY": ("AA", "IH"),
    "AW": ("AA", "UW"),
    "OW": ("AO", "UW"),
    "EY": ("EH", "IY"),
    "OY": ("AO", "IH"),
}
"""Diphthongs: from one vowel to another, three fifths of the way through."""

VOWELS = frozenset(["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"])
BILABIALS = frozenset("PBM")
LABIODENTALS = frozenset("FV")


def _segments(phones: Sequence[Phone]) -> list[tuple[str, float, float]]:
    segments = []
    for phone in phones:
        if phone.label in DIPHTHONGS:
            first, second = DIPHTHONGS[phone.label]
            middle = phone.start + 0.6 * (phone.end - phone.start)
            segments += [(first, phone.start, middle), (second, middle, phone.end)]
        else:
            segments.append((phone.label, phone.start, phone.end))
    return segments


def _blend(phones: Sequence[Phone], times: NDArray[np.float64]) -> Curves:
    segments = _segments(phones)
    targets = np.array([TARGETS[label].row() for label, _, _ in segments])
    strength = np.array([TARGETS[label].dominance for label, _, _ in segments])
    start, end = np.array([(s, e) for _, s, e in segments]).T
    middle, quarter = (start + end) / 2, (end - start) / 4
    distance = np.maximum(np.abs(times[:, None] - middle) - quarter, 0.0)  # (T, segments)
    # The nearest segment has a minimum weight, so that not all dominances underflow in a long pause.
    nearest = distance.min(axis=1, keepdims=True)
    curves = {}
    for index, name in enumerate(_BLENDED):
        exponent = (distance**2 - nearest**2) / _REACH[index] ** 2
        dominance = strength * np.exp(-exponent)
        curves[name] = dominance @ targets[:, index] / dominance.sum(axis=1)
    return curves


def _hold(
    phones: Sequence[Phone], labels: frozenset[str], times: NDArray[np.float64], ramp: float
) -> NDArray[np.float64]:
    """1 within each phone of ``labels``, 0 beyond ``ramp`` seconds outside it, a raised cosine between."""
    course = np.zeros_like(times)
    for phone in phones:
        if phone.label in labels:
            outside = np.maximum(np.maximum(phone.start - times, times - phone.end), 0.0)
            course = np.maximum(course, 0.5 + 0.5 * np.cos(np.pi * np.minimum(outside / ramp, 1.0)))
    return course


def stress(phones: Sequence[Phone], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Emphasis (T,) in [0, 1]: a bump of 0.12 s around each long vowel.

    Long vowels mark stress (Fry 1955, "Duration and intensity as physical correlates of linguistic stress"); the
    threshold, 1.25 times the median vowel of the clip, is our choice.
    """
    vowels = [phone for phone in phones if phone.label in VOWELS]
    course = np.zeros_like(times)
    if not vowels:
        return course
    usual = float(np.median([phone.end - phone.start for phone in vowels]))
    for phone in vowels:
        length = (phone.end - phone.start) / usual
        weight = float(np.clip((length - 1.0) / 0.5, 0.0, 1.0))
        middle = (phone.start + phone.end) / 2
        course = np.maximum(course, weight * np.exp(-0.5 * ((times - middle) / 0.12) ** 2))
    return course


def wander(times: NDArray[np.float64], generator: np.random.Generator, low: float, high: float) -> NDArray[np.float64]:
    """A smooth random curve (T,) of unit variance: six sines between ``low`` and ``high`` Hz."""
    frequency = generator.uniform(low, high, 6)
    phase = generator.uniform(0, 2 * np.pi, 6)
    sines = np.sin(2 * np.pi * frequency * times[:, None] + phase).sum(axis=1)
    return np.asarray(sines / np.sqrt(3))


def blinks(times: NDArray[np.float64], seconds: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Lid closure (T,) in [0, 1]: 80 ms down, 160 ms up, every 2.2 to 5 seconds (our choice)."""
    course = np.zeros_like(times)
    moment = generator.uniform(0.3, 3.0)
    while moment < seconds:
        away = times - moment
        phase = np.where(away < 0, away / 0.08, away / 0.16)
        course = np.maximum(course, 0.5 + 0.5 * np.cos(np.pi * np.clip(phase, -1.0, 1.0)))
        moment += generator.uniform(2.2, 5.0)
    return course


def articulate(
    phones: Sequence[Phone], style: Style, times: NDArray[np.float64], generator: np.random.Generator
) -> Curves:
    """Control curves (T,) of ``phones`` said in ``style``, at ``times`` (T,) in seconds.

    ``generator`` draws blinks and small movements of the brows. Seed it by speaker and sentence, never by the style, so
    that one sentence in two styles differs only in style.
    """
    heard = times - style.lag
    lips = _blend(phones, heard)
    rounded = np.clip(lips["round"] + lips["funnel"], 0.0, 1.0)
    tension = 0.25 * (style.spreading - 1.0) if style.spreading > 1.0 else 0.0
    blink = blinks(times, float(times[-1]) if len(times) else 0.0, generator)
    unrest = 0.05 * wander(times, generator, 0.2, 0.8)
    brow = 0.75 * style.brow + 1.0 * style.emphasis * stress(phones, times) + unrest
    smile = style.smile * (1.0 - 0.45 * rounded)
    left, right = 1.0 + 0.7 * style.asymmetry, 1.0 - 0.7 * style.asymmetry
    squint = -0.32 * style.eyes + 0.12 * np.maximum(smile, 0.0) + 0.2 * style.cheeks + 0.15 * style.sneer
    lid = blink + (1.0 - blink) * squint
    return {
        "jaw": style.jaw * lips["jaw"] + style.parted * (1.0 - 0.6 * lips["jaw"]),
        "round": style.rounding * lips["round"] + style.pucker * (1.0 - rounded),
        "funnel": style.rounding * lips["funnel"],
        "spread": style.spreading * lips["spread"] + tension + style.stretch * (1.0 - 0.45 * rounded),
        "raise": style.jaw * lips["raise"] + style.lip_raise * (0.45 + 0.55 * lips["jaw"]),
        "lower": style.jaw * lips["lower"] + style.lip_lower * (1.0 - 0.45 * rounded),
        "tuck": _hold(phones, LABIODENTALS, heard, 0.06),
        "close": _hold(phones, BILABIALS, heard, 0.07),
        "shift": style.asymmetry * (0.30 + 0.7 * lips["jaw"]),
        "smile_left": smile * left,
        "smile_right": smile * right,
        "brow_left": brow + 0.45 * style.asymmetry,
        "brow_right": brow - 0.45 * style.asymmetry,
        "frown": np.full_like(times, max(-style.inner_brow, 0.0)),
        "grief": np.full_like(times, max(style.inner_brow, 0.0)),
        "cheek": np.full_like(times, style.cheeks),
        "sneer": np.full_like(times, style.sneer),
        "lid_left": lid,
        "lid_right": lid,
    }


def head_motion(
    phones: Sequence[Phone], style: Style, times: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (T, 3) in radians (pitch, yaw, roll) and shift (T, 3) in centimetres of the head while speaking.

    Slow random motion plus a nod on stress, both scaled by the style's ``head``.
    """
    rotation = np.stack([wander(times, generator, 0.08, 0.55) for _ in range(3)], axis=1)
    shift = np.stack([wander(times, generator, 0.05, 0.35) for _ in range(3)], axis=1)
    rotation = rotation * np.radians([2.0, 3.6, 1.5])
    rotation[:, 0] += np.radians(3.0) * stress(phones, times - 0.05)
    return style.head * rotation, style.head * shift * np.array([0.22, 0.15, 0.3])
