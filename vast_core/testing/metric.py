"""The rules of metrics: they give the measures that they declare, and an identical pair scores best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError, NotComputed
from ..interfaces import SAMPLE_RATE, Drawing, Face, FaceTrack, Measure, Metric, Performance, PooledMetric, Sizes
from .kit import Subject, not_applicable, require, rule

_TENSORS = ("vertices", "neutral", "frames", "region", "pose", "mouth", "landmarks", "audio", "wave")
_FPS = 25.0
_FRAMES = 40
_SIZE = 32
_NEEDS = ("vertices", "frames")
_DIRECTIONS = ("lower", "higher", "closer to 0", "neither")
_REFUSALS = (InputError, ValueError, NotComputed)


class PaperFace(Face):
    """A face of a few vertices for metrics: regions and lip opening only.

    The vertices 0 and 1 are the middles of the inner lips, 2 and 3 the corners; 4 to 7 the upper face, of which 4 and 5
    are the outer eye corners; 8 is the chin.
    """

    def __init__(self) -> None:
        super().__init__()
        self.triangles = np.array([[0, 3, 2], [1, 2, 3], [4, 6, 7]], np.int64)
        self.lips, self.eyes = np.arange(4, dtype=np.int64), np.arange(4, 6, dtype=np.int64)
        self.upper_face = np.arange(4, 8, dtype=np.int64)
        self.millimetres = 10.0

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """A face; there are no options."""
        return cls()

    def lip_opening(self, vertices: Tensor) -> Tensor:
        """Distance (...,) of the middles of the inner lips over the distance of the outer eye corners."""
        inner, outer = vertices[..., 0, :] - vertices[..., 1, :], vertices[..., 4, :] - vertices[..., 5, :]
        opening: Tensor = inner.norm(dim=-1) / outer.norm(dim=-1)
        return opening

    def track(self, frames: Iterable[NDArray[np.uint8]], fps: float) -> list[FaceTrack]:
        """Not used by metrics."""
        raise NotImplementedError

    def identity(self, tracks: Sequence[FaceTrack]) -> NDArray[np.float32]:
        """Not used by metrics."""
        raise NotImplementedError

    def fit(self, tracks: Sequence[FaceTrack], identities: Sequence[NDArray[np.float32]]) -> None:
        """Not used by metrics."""
        raise NotImplementedError

    def encode(self, track: FaceTrack, identity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Not used by metrics."""
        raise NotImplementedError

    def decode(self, expression: Tensor, identity: Tensor) -> Tensor:
        """Not used by metrics."""
        raise NotImplementedError

    def unwrap(self, frames: Iterable[NDArray[np.uint8]], vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Not used by metrics."""
        raise NotImplementedError

    def draw(self, vertices: NDArray[np.float32], size: int, texture: NDArray[np.uint8] | None = None) -> Drawing:
        """Not used by metrics."""
        raise NotImplementedError


_NEUTRAL = torch.tensor(
    [[0, -3, 1], [0, -3.6, 1], [-2.5, -3, 0], [2.5, -3, 0], [-4, 3, 0], [4, 3, 0], [-2, 4, 1], [2, 4, 1], [0, -7, 0]]
)


def performance(needs: str, frames: int = _FRAMES, seed: int = 0) -> Performance:
    """Smooth motion of every vertex of :class:`PaperFace`, or smooth pictures with a region over the face.

    It includes the head's pose and a sound whose second half is silent; its audio features are unrelated to the lips.
    """
    draw, seconds = torch.Generator().manual_seed(seed), torch.arange(frames) / _FPS
    speed, phase = 1 + 3 * torch.rand(len(_NEUTRAL), 3, generator=draw), 6 * torch.rand(9, 3, generator=draw)
    motion = 0.25 * torch.sin(2 * math.pi * speed * seconds[:, None, None] + phase)
    coarse = torch.rand(frames, 3, _SIZE // 4, _SIZE // 4, generator=draw)
    sway = torch.sin(3 * seconds + 6 * torch.rand((), generator=draw))
    samples = round(frames / _FPS * SAMPLE_RATE)
    cos, sin, none = torch.cos(0.1 * sway), torch.sin(0.1 * sway), torch.zeros(frames)
    turn = torch.stack([cos, none, sin, none, none + 1, none, -sin, none, cos], -1).reshape(frames, 3, 3)
    given = Performance(
        face=PaperFace(),
        fps=_FPS,
        pose=torch.cat([turn, sway[:, None, None].expand(frames, 3, 1)], -1),
        audio=torch.rand(frames, 40, generator=draw).softmax(-1),
        wave=0.1 * torch.randn(samples, generator=draw) * (torch.arange(samples) < samples // 2),
        name=f"clip {seed}",
        speaker="paper",
    )
    if needs == "vertices":
        return attrs.evolve(given, vertices=_NEUTRAL + motion, neutral=_NEUTRAL.clone())
    pictures = torch.nn.functional.interpolate(coarse, size=(_SIZE, _SIZE), mode="bilinear")
    region = torch.zeros(frames, 1, _SIZE, _SIZE)
    region[..., 6:26, 8:24] = 1
    mouth = torch.tensor([_SIZE / 2, 20.0, 10.0, 6.0]).expand(frames, 4).clone()
    return attrs.evolve(given, frames=pictures, region=region, mouth=mouth)


def _changed(given: Performance, change: Callable[[Tensor], Tensor]) -> Performance:
    """A performance with changed vertices or frames."""
    if given.vertices is not None:
        return attrs.evolve(given, vertices=change(given.vertices))
    return attrs.evolve(given, frames=None if given.frames is None else change(given.frames).clamp(0, 1))


def _copy(given: Performance) -> Performance:
    values = {name: getattr(given, name) for name in _TENSORS}
    return attrs.evolve(given, **{name: value.clone() for name, value in values.items() if value is not None})


def _needs(metric: Metric) -> str:
    needs = getattr(metric, "needs", None)
    return needs if needs in _NEEDS else "vertices"


def _noise(amount: float) -> Callable[[Tensor], Tensor]:
    draw = torch.Generator().manual_seed(1)
    return lambda tensor: tensor + amount * torch.randn(tensor.shape, generator=draw)


def _badness(measure: Measure, value: float) -> float:
    """The value as a number for which smaller is better."""
    return {"lower": value, "higher": -value}.get(measure.better, abs(value))


@rule("metric")
def measures_declared(subject: Subject) -> None:
    """``measures`` is not empty; each has a name of its own, a direction, and a unit as text, which may be empty."""
    measures = tuple(subject.make().measures)
    require(len(measures) > 0, "measures is empty")
    names = [measure.name for measure in measures]
    require(len(set(names)) == len(names), f"two measures have one name: {', '.join(names)}")
    for measure in measures:
        require(measure.better in _DIRECTIONS, f"{measure.name}: better is {measure.better!r}, none of {_DIRECTIONS}")
        require(isinstance(measure.unit, str), f"{measure.name}: the unit is {measure.unit!r}, not text")


@rule("metric")
def needs_declared(subject: Subject) -> None:
    """``needs`` is "vertices" or "frames"; the core gives a metric one of the two."""
    needs = getattr(subject.make(), "needs", None)
    require(needs in _NEEDS, f"needs is {needs!r}, not one of {_NEEDS}")


@rule("metric")
def one_number_a_measure(subject: Subject) -> None:
    """It returns a dict with one float for each of ``measures``, by name, and no other entry."""
    metric = subject.make()
    one, other = (performance(_needs(metric), seed=seed) for seed in (0, 1))
    found, declared = metric(one, other), {measure.name for measure in metric.measures}
    require(isinstance(found, dict), f"it returns {type(found).__name__}, not dict")
    require(found.keys() == declared, f"it returns {sorted(found)}, but declares {sorted(declared)}")
    wrong = {name: type(value).__name__ for name, value in found.items() if not isinstance(value, float)}
    require(not wrong, f"not float: {wrong}")


@rule("metric")
def finite(subject: Subject) -> None:
    """Moving, still, half still and very different pairs give finite numbers."""
    metric = subject.make()
    needs = _needs(metric)
    moving = performance(needs)
    still = _changed(moving, lambda tensor: tensor[:1].expand_as(tensor).clone())
    far = _changed(moving, lambda tensor: 1 - tensor)
    pairs = {"equal": (moving, moving), "still": (still, still), "one still": (still, moving), "far": (far, moving)}
    for what, (prediction, reference) in pairs.items():
        for name, value in metric(_copy(prediction), _copy(reference)).items():
            require(math.isfinite(value), f"for a pair that is {what}, {name} is {value}")


@rule("metric")
def repeatable(subject: Subject) -> None:
    """The same pair gives the same numbers again, also after another pair was measured."""
    metric = subject.make()
    one, other, third = (performance(_needs(metric), seed=seed) for seed in range(3))
    first = metric(_copy(one), _copy(other))
    metric(_copy(third), _copy(one))
    again = metric(_copy(one), _copy(other))
    require(first == again, f"first {first}, later {again} for the same pair")


@rule("metric")
def leaves_the_pair_alone(subject: Subject) -> None:
    """The metric does not change prediction or reference."""
    metric = subject.make()
    one, other = (performance(_needs(metric), seed=seed) for seed in (0, 1))
    copies = {"prediction": (_copy(one), one), "reference": (_copy(other), other)}
    metric(one, other)
    for side, (before, after) in copies.items():
        for name in _TENSORS:
            kept, found = getattr(before, name), getattr(after, name)
            require(kept is None or torch.equal(kept, found), f"{name} of the {side} changed")


@rule("metric")
def identical_is_best(subject: Subject) -> None:
    """No disturbed copy scores better than the reference itself, for which a measure "closer to 0" is 0."""
    metric = subject.make()
    reference = performance(_needs(metric))
    best = metric(_copy(reference), _copy(reference))
    disturbed = {
        "noise": _changed(reference, _noise(0.1)),
        "another clip": performance(_needs(metric), seed=1),
        "one frame late": _changed(reference, lambda tensor: tensor.roll(1, 0)),
    }
    for measure in metric.measures:
        if measure.better == "neither":
            continue
        own = best[measure.name]
        if measure.better == "closer to 0":
            require(abs(own) <= 1e-6, f"{measure.name} of an identical pair is {own:g}, not 0")
        for what, prediction in disturbed.items():
            value = metric(_copy(prediction), _copy(reference))[measure.name]
            better = _badness(measure, value) < _badness(measure, own) - 1e-6
            require(not better, f"{measure.name} is {value:g} for {what}, better than {own:g} for an identical pair")


@rule("metric")
def notices(subject: Subject) -> None:
    """Every measure changes if the prediction is a different clip from the reference."""
    metric = subject.make()
    reference, other = (performance(_needs(metric), seed=seed) for seed in (0, 1))
    best, worse = metric(_copy(reference), _copy(reference)), metric(_copy(other), _copy(reference))
    same = [measure.name for measure in metric.measures if worse[measure.name] == best[measure.name]]
    require(not same, f"{', '.join(same)}: the same for a different clip as for an identical pair")


@rule("metric")
def region_is_optional(subject: Subject) -> None:
    """Frames without a region over the face are compared in full."""
    metric = subject.make()
    if _needs(metric) != "frames":
        not_applicable("it does not need frames")
    given = attrs.evolve(performance("frames"), region=None)
    try:
        metric(_copy(given), _copy(given))
    except NotComputed:
        raise
    except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
        require(False, f"it fails without a region: {type(error).__name__}: {error}")


@rule("metric")
def short_clips(subject: Subject) -> None:
    """Clips of 1 to 3 frames give finite numbers, or an InputError or ValueError."""
    metric = subject.make()
    for frames in (1, 2, 3):
        one, other = (performance(_needs(metric), frames, seed) for seed in (0, 1))
        try:
            found = metric(one, other)
        except _REFUSALS:
            continue
        except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
            require(False, f"{frames} frames: {type(error).__name__}: {error}")
        for name, value in found.items():
            require(math.isfinite(value), f"{frames} frames: {name} is {value}")


@rule("metric")
def unequal_clips(subject: Subject) -> None:
    """A prediction that is longer than its reference raises an InputError or ValueError."""
    metric = subject.make()
    long, short = (performance(_needs(metric), frames) for frames in (_FRAMES, _FRAMES - 7))
    try:
        found = metric(long, short)
    except _REFUSALS:
        return
    except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
        require(False, f"{type(error).__name__} instead of an InputError or ValueError: {error}")
    require(False, f"{_FRAMES} frames and {_FRAMES - 7} frames are compared instead of refused: {found}")


@rule("metric")
def pooled_in_any_order(subject: Subject) -> None:
    """A pooled metric's numbers do not depend on the order of the clips, and each() gives one row per part."""
    metric = subject.make()
    if not isinstance(metric, PooledMetric):
        not_applicable("it is not a PooledMetric")
    reference = [performance(_needs(metric), seed=seed) for seed in range(4)]
    parts = [metric.part(_changed(clip, _noise(0.02 * place)), clip) for place, clip in enumerate(reference, 1)]
    one, other = metric.pool(parts), metric.pool(parts[::-1])
    for name, value in one.items():
        near = math.isclose(value, other[name], rel_tol=1e-4, abs_tol=1e-6)
        require(near, f"{name} is {value:g}, but {other[name]:g} with the clips in reverse order")
    require(
        len(metric.each(parts)) == len(parts), f"each() gives {len(metric.each(parts))} rows for {len(parts)} parts"
    )
