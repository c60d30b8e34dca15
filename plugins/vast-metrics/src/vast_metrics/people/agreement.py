"""What a prompt's face does beside its neutral clip, against what the avatar does in its style: the arithmetic.

d_e = mean face in emotion e - mean face in neutral, without head pose, of the prompt; o_e the same of the avatar. Over
the coordinates of the lips, and of the upper face:

    correlation r(d_e, o_e),    gain sum_e d_e . o_e / sum_e d_e . d_e

An emotion is retrieved if, over both regions, o_e correlates with d_e more than with the d of every other emotion.
Liveliness is how much more the lips move than in neutral: ln of the ratio of the deviation of their opening
(amplitude), or of its root mean square speed (speed); correlated over emotions. Our choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vast_core.interfaces import Face
from vast_core.media import pearson

FIGURES = ("lips", "upper", "gain_lips", "gain_upper", "retrieval", "amplitude", "speed")
STILL = 1e-6
"""Smallest deviation and speed of the opening, relative to the distance of the eyes, that are told from stillness."""


@attrs.frozen(kw_only=True, eq=False)
class Movement:
    """What a face does in one clip, or on average in several."""

    mean: NDArray[np.float64]
    """(V, 3): the mean face."""
    amplitude: float
    """ln of the deviation of the lip opening."""
    speed: float
    """ln of the root mean square change of the lip opening in a frame."""

    @classmethod
    def of(cls, face: Face, vertices: Tensor, valid: NDArray[np.bool_] | None = None) -> Movement:
        """The movement of canonical vertices (T, V, 3), at the frames ``valid`` (T,)."""
        seen = np.ones(len(vertices), bool) if valid is None else valid
        opening = face.lip_opening(vertices).double().numpy()
        change = np.diff(opening)[seen[1:] & seen[:-1]]
        speed = float(np.sqrt(np.mean(np.square(change)))) if len(change) else 0.0
        return cls(
            mean=vertices.double().numpy()[seen].mean(0),
            amplitude=float(np.log(max(float(opening[seen].std()), STILL))),
            speed=float(np.log(max(speed, STILL))),
        )

    @classmethod
    def joined(cls, movements: Sequence[Movement]) -> Movement:
        """The mean of several clips."""
        return cls(
            mean=np.mean([own.mean for own in movements], axis=0),
            amplitude=float(np.mean([own.amplitude for own in movements])),
            speed=float(np.mean([own.speed for own in movements])),
        )


@attrs.frozen(kw_only=True)
class Match:
    """A prompt's emotion against one face of the avatar."""

    group: tuple[str, int]
    """Speaker and seed: figures are computed within a group, then averaged."""
    emotion: str
    taken_for: str
    """The emotion that is retrieved."""
    lips: float
    upper: float
    """Correlations."""
    lips_dots: tuple[float, float]
    upper_dots: tuple[float, float]
    """d . o and d . d."""
    amplitude: tuple[float, float]
    speed: tuple[float, float]
    """ln of the ratio to neutral, of the prompt and of the avatar."""


def matches(
    group: tuple[str, int],
    shown: Mapping[str, Movement],
    made: Mapping[str, Sequence[Movement]],
    neutral: tuple[Movement, Movement],
    face: Face,
) -> list[list[Match]]:
    """Each emotion of ``shown`` against the avatar's faces for it; ``neutral`` are those of prompt and avatar."""
    lips, upper = face.lips, face.upper_face
    both = np.union1d(lips, upper)
    truth = {emotion: own.mean - neutral[0].mean for emotion, own in shown.items()}

    def likeness(emotion: str, moved: NDArray[np.float64], part: NDArray[np.int64]) -> float:
        return pearson(truth[emotion][part].ravel(), moved[part].ravel())

    def dots(emotion: str, moved: NDArray[np.float64], part: NDArray[np.int64]) -> tuple[float, float]:
        own = truth[emotion][part].ravel()
        return float(own @ moved[part].ravel()), float(own @ own)

    def match(emotion: str, own: Movement) -> Match:
        moved = own.mean - neutral[1].mean
        return Match(
            group=group,
            emotion=emotion,
            taken_for=max(truth, key=lambda other: likeness(other, moved, both)),
            lips=likeness(emotion, moved, lips),
            upper=likeness(emotion, moved, upper),
            lips_dots=dots(emotion, moved, lips),
            upper_dots=dots(emotion, moved, upper),
            amplitude=(shown[emotion].amplitude - neutral[0].amplitude, own.amplitude - neutral[1].amplitude),
            speed=(shown[emotion].speed - neutral[0].speed, own.speed - neutral[1].speed),
        )

    return [[match(emotion, own) for own in made[emotion]] for emotion in shown]


def pool(found: Sequence[Sequence[Match]]) -> dict[str, float]:
    """All :data:`FIGURES`: of each speaker and seed, averaged over seeds and speakers."""
    groups: dict[tuple[str, int], list[Match]] = {}
    for match in (match for own in found for match in own):
        groups.setdefault(match.group, []).append(match)
    rows = [{name: figure(own) for name, figure in _FIGURES.items()} for own in groups.values()]
    return {name: float(np.mean([row[name] for row in rows])) for name in FIGURES}


def _gain(dots: Sequence[tuple[float, float]]) -> float:
    across, within = np.sum(dots, axis=0)
    return float(across / within) if within > 0 else 0.0


def _liveliness(pairs: Sequence[tuple[float, float]]) -> float:
    both = np.array(pairs)
    return pearson(both[:, 0], both[:, 1])


_FIGURES: dict[str, Callable[[Sequence[Match]], float]] = {
    "lips": lambda own: float(np.mean([match.lips for match in own])),
    "upper": lambda own: float(np.mean([match.upper for match in own])),
    "gain_lips": lambda own: _gain([match.lips_dots for match in own]),
    "gain_upper": lambda own: _gain([match.upper_dots for match in own]),
    "retrieval": lambda own: float(np.mean([match.taken_for == match.emotion for match in own])),
    "amplitude": lambda own: _liveliness([match.amplitude for match in own]),
    "speed": lambda own: _liveliness([match.speed for match in own]),
}
