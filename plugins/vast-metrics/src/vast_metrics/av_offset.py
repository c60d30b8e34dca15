"""Lag of the sound behind the lips: a regression of lips on sound, trained on recordings, shifted in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Performance, PooledMetric, Sizes
from vast_core.media import LipOffset, LipSync, Offset

from . import pairs
from .config import AVOffsetConfig


@attrs.frozen(kw_only=True, eq=False)
class Heard:
    """The data kept of a pair."""

    prediction: LipSync
    reference: LipSync
    speaker: str
    fps: float


class AVOffset(PooledMetric):
    """A/V offset: milliseconds by which the lips lead the sound (negative: the sound leads), and its confidence.

    Inner-lip opening is regressed on 13 frames of audio features by ridge regression, trained on the references of
    other speakers (of other clips if there is one speaker, of other blocks of a single clip), each first corrected by
    its own offset. The prediction's opening is then shifted along the opening predicted from its own sound; the
    position of the correlation's peak is the offset, its height the confidence. The sound of recorded footage is often
    late, so the offset of a perfect copy is not 0: ``av_offset_deviation`` is the offset added to that of the
    reference.

    If the peak may be chance (see :mod:`vast_core.media.sync`), a clip has no offset, only a confidence. Measured with
    ``ppg``: for 7 clips of 5 public talkers, with the sound shifted by -200 to 200 ms in steps of 40, all 77 shifts
    were found to within 1.1 ms; of 38 pairs of lips with the sound of another speaker, one was taken for synchronous.
    The lag that a style of the synthetic corpus gives its lips, -78 to 74 ms, is found from each of 96 sentences of
    about 3 s, to 8.4 ms RMS and at most 33 (both: ``pytest -m slow test_metrics_av_offset.py``). The position of 0 is
    less certain: with another regression the talkers' offsets are 11 to 43 ms smaller, and
    :data:`vast_core.media.LEAD_MS` is the value for synchronous talkers. The estimator is ours; SyncNet's is ``lse``.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="av_offset", better="closer to 0", unit="ms"),
        Measure(name="av_offset_size", better="lower", unit="ms"),
        Measure(name="av_offset_deviation", better="closer to 0", unit="ms"),
        Measure(name="av_offset_confidence", better="higher"),
    )

    def __init__(self, reach_ms: float) -> None:
        self.reach_ms = reach_ms

    @classmethod
    def from_config(cls, config: AVOffsetConfig, sizes: Sizes) -> Self:
        """Build with the config's reach."""
        return cls(reach_ms=config.reach_ms)

    @torch.no_grad()
    def part(self, prediction: Performance, reference: Performance) -> Heard:
        """Features and lip openings of both sides; raises NotComputed if a side has no sound."""
        pairs.vertices(prediction, reference, "av_offset", frames=2)
        return Heard(
            prediction=_lip_sync(prediction, "prediction"),
            reference=_lip_sync(reference, "reference"),
            speaker=reference.speaker or reference.name,
            fps=reference.fps,
        )

    def pool(self, parts: Sequence[Any]) -> dict[str, float]:
        """Each measure's mean over the clips that have it; ``av_offset_size`` is the mean absolute value."""
        rows = self.each(parts)
        found = {
            name: [row[name] for row in rows if name in row] for name in (measure.name for measure in self.measures)
        }
        if not found["av_offset"]:
            raise NotComputed(f"in none of {len(parts)} clips do the lips follow the sound clearly enough")
        if not found["av_offset_deviation"]:
            raise NotComputed(f"none of {len(parts)} clips has an offset on both sides")
        return {name: float(np.mean(values)) for name, values in found.items()}

    def each(self, parts: Sequence[Any]) -> Sequence[Mapping[str, float]]:
        """The confidence of every clip, and the offsets of those whose peak is not chance."""
        fps = {part.fps for part in parts}
        if len(fps) > 1:
            raise ValueError(
                f"av_offset: clips have different frame rates, {', '.join(f'{rate:g}' for rate in sorted(fps))} fps"
            )
        try:
            model = LipOffset.fit(
                [part.reference for part in parts], [part.speaker for part in parts], fps.pop(), self.reach_ms
            )
        except ValueError as error:
            raise NotComputed(str(error)) from error
        return [
            _told(model.of(part.prediction, part.speaker), model.of(part.reference, part.speaker), self.reach_ms)
            for part in parts
        ]


def _told(own: Offset, recorded: Offset, reach_ms: float) -> dict[str, float]:
    row = {"av_offset_confidence": own.correlation}
    if own.confident and abs(own.milliseconds) <= reach_ms:
        row |= {"av_offset": own.milliseconds, "av_offset_size": abs(own.milliseconds)}
        if recorded.confident and abs(recorded.milliseconds) <= reach_ms:
            row["av_offset_deviation"] = own.milliseconds - recorded.milliseconds
    return row


def _lip_sync(performance: Performance, side: str) -> LipSync:
    if performance.audio is None:
        raise NotComputed(f"the {side} has no sound")
    vertices = pairs.present(performance.vertices, "av_offset", side, "vertices")
    return LipSync.of(performance.name, performance.face, vertices, performance.audio)
