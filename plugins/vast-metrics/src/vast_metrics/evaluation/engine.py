"""Computes every metric on every pair, one pair in memory at a time, and then over all pairs."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
from torch import nn

import vast_core
from vast_core.errors import VastError
from vast_core.interfaces import Performance, PooledMetric
from vast_core.pipeline import Pipeline, assemble
from vast_core.registry import Registry

from ..measuring import Measured, checked, measure, reason_of
from .bootstrap import interval, pooled_intervals
from .protocol import Protocol
from .results import ClipResult, Evaluation, LeftOut, MeasureOf, Overall


@attrs.frozen(kw_only=True, eq=False)
class Pair:
    """A prediction and its reference, ready to be measured."""

    prediction: Performance
    reference: Performance
    """Has the name and speaker of the clip."""
    frames: int
    lacking: Mapping[Literal["vertices", "frames"], str] = attrs.field(factory=dict)
    """Why vertices or frames are missing."""
    notes: tuple[str, ...] = ()
    videos: tuple[str, str] | None = None
    """Generated and reference video, relative to the evaluation's folder."""


@attrs.define(eq=False)
class Engine:
    """Measures one pair after another, and keeps only numbers and parts."""

    protocol: Protocol
    pipeline: Pipeline
    _clips: list[ClipResult] = attrs.field(init=False, factory=list)
    _lacking: set[str] = attrs.field(init=False, factory=set)
    """Reasons that concern clips, not metrics."""
    _left_out: list[LeftOut] = attrs.field(init=False, factory=list)
    _parts: dict[int, list[tuple[int, Any]]] = attrs.field(init=False, factory=dict)
    """For each pooled metric, by its place in the protocol: clip numbers and parts."""
    _again: dict[int, Measured] = attrs.field(init=False, factory=dict)
    """Results for re-encoded videos, by clip number."""

    @classmethod
    def of(cls, protocol: Protocol, registry: Registry) -> Engine:
        """Assemble face, audio and metrics of a protocol."""
        return cls(protocol, assemble(protocol.parts, registry))

    def digest(self) -> str:
        """Digest of the protocol, including the weights of face and audio."""
        return self.protocol.digest({kind: _weights(part) for kind, part in self.pipeline.parts.items()})

    @property
    def seconds(self) -> float:
        """Seconds of all pairs measured so far."""
        return sum(clip.frames for clip in self._clips) / self.protocol.fps

    def leave_out(self, clip: str, reason: str) -> None:
        """Record a clip that cannot be measured."""
        self._left_out.append(LeftOut(clip=clip, reason=reason))

    def measure(self, pair: Pair) -> None:
        """Compute every metric on one pair; failures are recorded, and the other metrics continue."""
        self._lacking |= set(pair.lacking.values())
        found = measure(self.pipeline.metrics, pair.prediction, pair.reference, pair.lacking)
        for place, part in found.parts.items():
            self._parts.setdefault(place, []).append((len(self._clips), part))
        uses = self.protocol.parts.metrics
        sides = {"generated": pair.prediction, "reference": pair.reference}
        self._clips.append(
            ClipResult(
                name=pair.reference.name,
                speaker=pair.reference.speaker,
                frames=pair.frames,
                values=found.values,
                not_computed={uses[place].name: reason for place, reason in found.reasons.items()},
                generated=pair.videos and pair.videos[0],
                reference=pair.videos and pair.videos[1],
                curves={name: _opening(side) for name, side in sides.items() if side.vertices is not None},
                notes=pair.notes,
            )
        )

    def measure_again(self, pair: Pair) -> None:
        """Compute every metric on a pair that was measured before, of whose generated video this is a re-encoding."""
        names = [clip.name for clip in self._clips]
        number = names.index(pair.reference.name)
        self._again[number] = measure(self.pipeline.metrics, pair.prediction, pair.reference, pair.lacking)

    def conclude(self, *, generated: str, reference: str, geometry: Literal["tracked", "model"]) -> Evaluation:
        """All numbers, with their intervals.

        Raises :class:`vast_core.errors.VastError` if no clip could be measured.
        """
        if not self._clips:
            reasons = "\n".join(f"  {item.clip}: {item.reason}" for item in self._left_out)
            raise VastError(f"no clip could be measured:\n{reasons}")
        overall: dict[str, Overall] = {}
        not_computed: dict[str, str] = {}
        moved = self._moved()
        measures: dict[str, MeasureOf] = {}
        for place, (use, metric) in enumerate(zip(self.protocol.parts.metrics, self.pipeline.metrics, strict=True)):
            for own in metric.measures:
                measures[own.name] = MeasureOf(
                    metric=use.name, provider=use.component.provider, better=own.better, unit=own.unit
                )
            try:
                pooled = self._pool(metric, self._parts.get(place, [])) if isinstance(metric, PooledMetric) else {}
            except Exception as error:  # noqa: BLE001 - as above, of all clips together
                not_computed[use.name] = reason_of(error)
                continue
            found = {own.name: self._overall(own.name, pooled.get(own.name)) for own in metric.measures}
            overall |= {
                name: attrs.evolve(value, moved=moved.get(name)) for name, value in found.items() if value is not None
            }
            if not any(found.values()):
                not_computed[use.name] = self._why_none(use.name)
        return Evaluation(
            vast=vast_core.__version__,
            protocol=self.protocol.name,
            digest=self.digest(),
            generated=generated,
            reference=reference,
            geometry=geometry,
            fps=self.protocol.fps,
            measures=measures,
            overall=overall,
            not_computed=not_computed,
            clips=tuple(self._clips),
            left_out=tuple(self._left_out),
            reencoded=len(self._again),
            crf=self.protocol.reencoding.crf if self._again else None,
        )

    def _moved(self) -> dict[str, float]:
        """How far the re-encoding moves each measure: mean absolute change of a clip's value.

        For a measure that no single clip has, the change of its value over the re-encoded clips together.
        """
        changes: dict[str, list[float]] = {}
        pooled: dict[str, float] = {}
        for number, found in self._again.items():
            _note_changes(changes, self._clips[number].values, found.values)
        for place, metric in enumerate(self.pipeline.metrics):
            before = dict(self._parts.get(place, []))
            both = [(before[n], f.parts[place]) for n, f in self._again.items() if n in before and place in f.parts]
            if not isinstance(metric, PooledMetric) or not both:
                continue
            old, new = ([pair[side] for pair in both] for side in (0, 1))
            try:
                whole = metric.pool(old), metric.pool(new)
                for rows in zip(metric.each(old), metric.each(new), strict=True):
                    _note_changes(changes, *rows)
            except Exception:  # noqa: BLE001 - so few clips may not be enough for it
                continue
            pooled |= {name: abs(whole[1][name] - value) for name, value in whole[0].items() if name in whole[1]}
        return pooled | {name: math.fsum(values) / len(values) for name, values in changes.items()}

    def _pool(self, metric: PooledMetric, numbered: Sequence[tuple[int, Any]]) -> dict[str, Overall]:
        """A metric's values over all parts; its values for each clip are stored with the clips."""
        if not numbered:
            return {}
        parts = [part for _, part in numbered]
        values = checked(metric, metric.pool(parts))
        for (number, _), own in zip(numbered, metric.each(parts), strict=True):
            clip = self._clips[number]
            self._clips[number] = attrs.evolve(clip, values={**clip.values, **checked(metric, own, whole=False)})
        bounds: Mapping[str, tuple[float, float]] = {}
        rule = self.protocol.bootstrap
        if metric.resampled:
            speakers = [self._clips[number].speaker for number, _ in numbered]
            bounds = pooled_intervals(metric.pool, parts, speakers, rule.resamples, rule.seed)
        return {
            name: Overall(value=value, low=low, high=high, clips=len(parts))
            for name, value in values.items()
            for low, high in [bounds.get(name, (None, None))]
        }

    def _overall(self, measure: str, pooled: Overall | None) -> Overall | None:
        """A measure over all clips: pooled, or the mean; the interval is from values per clip, if every clip has
        one."""
        having = [clip for clip in self._clips if measure in clip.values]
        values = [clip.values[measure] for clip in having]
        rule = self.protocol.bootstrap
        low, high = interval(values, [clip.speaker for clip in having], rule.resamples, rule.seed)
        if pooled is None:
            return (
                Overall(value=math.fsum(values) / len(values), low=low, high=high, clips=len(values))
                if values
                else None
            )
        if pooled.low is not None or not values:
            return pooled
        # if only some clips have values, their interval applies only if the pooled value is their mean
        mean = math.isclose(pooled.value, math.fsum(values) / len(values), rel_tol=1e-9)
        if mean or len(values) == pooled.clips:
            return attrs.evolve(pooled, low=low, high=high, clips=len(values))
        return pooled

    def _why_none(self, metric: str) -> str:
        reasons = Counter(clip.not_computed[metric] for clip in self._clips if metric in clip.not_computed)
        if not reasons:
            return "it gave no value for any clip"
        # the metric's own reason says more than that other clips have no frames
        own = Counter({reason: count for reason, count in reasons.items() if reason not in self._lacking}) or reasons
        (commonest, _), *others = own.most_common()
        more = "another reason" if len(others) == 1 else f"{len(others)} other reasons"
        return commonest + (f" (and {more}, listed by clip)" if others else "")


def _note_changes(changes: dict[str, list[float]], old: Mapping[str, float], new: Mapping[str, float]) -> None:
    for name, value in old.items():
        if name in new:
            changes.setdefault(name, []).append(abs(new[name] - value))


def _opening(performance: Performance) -> tuple[float, ...]:
    """Inner-lip opening over time, for the curves of the report."""
    if performance.vertices is None:
        return ()
    return tuple(round(float(value), 4) for value in performance.face.lip_opening(performance.vertices))


def _weights(part: nn.Module) -> str:
    """SHA-256 of a component's tensors, by name."""
    joint = hashlib.sha256()
    for name, tensor in sorted(part.state_dict().items()):
        joint.update(name.encode())
        joint.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return joint.hexdigest()
