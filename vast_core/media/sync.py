"""How late the sound of a clip is.

Lip opening is regressed on audio features. A regression learned from other clips is slid along a clip's own sound; the
peak of the correlation tells how late that sound is, compared with the sound of the other clips. An offset that all
clips share is found by a second regression on a single row of features: the row of the same moment predicts the lips
best. So no clip needs to be known to be in sync, and a single clip can be judged alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from ..interfaces import SAMPLE_RATE
from .lip_regression import CONTEXT, EVERYTHING, FOLDS, Floats, LipSample, LipSync, Reduction, Ridge, pearson

LEAD_MS = 20.0
"""Milliseconds by which the lips lead the sound: 10 with phone posteriors, 33 with log-mel, on talkers in sync."""

LEAST_CORRELATION = 0.15
"""Lowest correlation at which a peak counts."""

LEAST_SLID, LEAST_REFITTED = 3.0, 4.0
"""Standard deviations above chance from which a peak counts. The second limit is higher, because its regression is
fitted again at each lag. Of 60 unrelated clips of 8 s, one passed each limit."""


@attrs.frozen
class Offset:
    """How late the sound of a clip is."""

    milliseconds: float
    """Positive if the sound is late; ``shift_wave`` corrects it by moving the sound forward."""
    correlation: float
    """Correlation of the lip opening predicted from the sound with the tracked one, at that offset."""
    confident: bool
    """False if the correlation may be chance, or peaks at the end of the searched range."""


def shift_wave(wave: NDArray[np.float32], milliseconds: float) -> NDArray[np.float32]:
    """Correct sound (S,) that is late by ``milliseconds``; the length stays, and silence fills what is unknown."""
    late = round(milliseconds * SAMPLE_RATE / 1000)
    shifted = np.zeros_like(wave)
    length = max(0, len(wave) - abs(late))
    shifted[max(0, -late) :][:length] = wave[max(0, late) :][:length]
    return shifted


def estimate_offsets(clips: Sequence[LipSync], fps: float, max_offset_ms: float) -> list[Offset]:
    """Offset of each clip, in order, from -``max_offset_ms`` to ``max_offset_ms``.

    Each clip is first judged alone, then twice by a regression learned from the other, corrected clips. A clip that the
    others do not explain, or a single clip, keeps the first estimate.
    """
    if not clips:
        return []
    reach = math.ceil(max_offset_ms * fps / 1000) + 1  # A peak needs a neighbour on each side.
    reduction = Reduction.fit(clips)
    pieces = [LipSample.of(clip, reduction, number % FOLDS) for number, clip in enumerate(clips)]
    alone = [_shared([piece.blocks()], np.zeros(1), reach) for piece in pieces]
    late = np.array([peak.frames if peak.clear else 0.0 for peak in alone])
    trusted = [number for number, peak in enumerate(alone) if peak.clear] or list(range(len(pieces)))
    peaks = alone
    for _ in range(2):
        model = Ridge.fit([pieces[number] for number in trusted], late[trusted], CONTEXT)
        peaks = [_slid(model, piece, reach) for piece in pieces]
        trusted = [number for number, peak in enumerate(peaks) if peak.clear]
        late[trusted] = [peaks[number].frames for number in trusted]
    common = _shared([pieces[number] for number in trusted], late[trusted], reach)
    offsets = []
    for number, peak in enumerate(alone):
        if number in trusted and common.clear:
            peak = attrs.evolve(peaks[number], frames=late[number] + common.frames)
        milliseconds = float(peak.frames * 1000 / fps - LEAD_MS)
        offsets.append(Offset(milliseconds, peak.correlation, peak.clear and abs(milliseconds) <= max_offset_ms))
    return offsets


@attrs.frozen(eq=False)
class LipOffset:
    """A regression of lips on sound, learned from recordings, that estimates how late the sound of other clips is.

    A group of clips, such as those of one speaker, is judged only by what was learned from other groups. If there is
    one group, its clips take the place of groups; if there is one clip, its blocks do.
    """

    reduction: Reduction
    model: Ridge
    folds: dict[str, int]
    """Fold of each group; empty if there is only one clip."""
    fps: float
    reach: int

    @classmethod
    def fit(cls, recordings: Sequence[LipSync], groups: Sequence[str], fps: float, max_offset_ms: float) -> Self:
        """Learn from the ``recordings`` whose lips clearly follow their sound, after correction.

        ``groups`` names the group of each recording.

        Raises:
            ValueError: if there is no recording, or the lips clearly follow the sound in none.
        """
        found = estimate_offsets(recordings, fps, max_offset_ms)
        sure = [number for number, offset in enumerate(found) if offset.confident]
        if not sure:
            raise ValueError(f"in none of {len(recordings)} recordings do the lips clearly follow the sound")
        if len({groups[number] for number in sure}) == 1:
            groups = [clip.name for clip in recordings]
        folds = {name: number for number, name in enumerate(dict.fromkeys(groups))} if len(sure) > 1 else {}
        reduction = Reduction.fit(recordings)
        pieces = [LipSample.of(recordings[number], reduction, folds.get(groups[number], 0)) for number in sure]
        if not folds:
            pieces = [pieces[0].blocks()]
        late = np.array([(found[number].milliseconds + LEAD_MS) * fps / 1000 for number in sure])
        reach = math.ceil(max_offset_ms * fps / 1000) + 1
        return cls(reduction, Ridge.fit(pieces, late, CONTEXT), folds, fps, reach)

    def of(self, clip: LipSync, group: str) -> Offset:
        """How late the sound of ``clip`` is, judged without its own ``group`` (or clip, if there is one group)."""
        piece = LipSample.of(clip, self.reduction, self.folds.get(group, self.folds.get(clip.name, EVERYTHING)))
        if not self.folds:
            piece = piece.blocks()
        peak = _slid(self.model, piece, self.reach)
        return Offset(float(peak.frames * 1000 / self.fps - LEAD_MS), peak.correlation, peak.clear)


@attrs.frozen
class _Peak:
    frames: float
    correlation: float
    clear: bool

    @classmethod
    def of(cls, curve: Sequence[tuple[Floats, Floats]], deviations: float) -> Self:
        """The lag in -n ... n frames with the highest correlation, refined to a fraction of a frame by a parabola."""
        height = np.array([pearson(predicted, tracked) for predicted, tracked in curve])
        top = int(height.argmax())
        reach = len(height) // 2
        if not 0 < top < len(height) - 1:
            return cls(float(top - reach), float(height[top]), False)
        left, middle, right = height[top - 1 : top + 2]
        fraction = 0.5 * (left - right) / min(left - 2 * middle + right, -1e-12)
        least = max(LEAST_CORRELATION, deviations * _deviation(*curve[top]))
        return cls(top - reach + fraction, float(middle), bool(middle >= least))


def _slid(model: Ridge, piece: LipSample, reach: int) -> _Peak:
    """The lag at which the prediction, slid along the lips of a piece, correlates best."""
    predicted, _ = model.predict(piece, 0.0)
    frames = np.arange(len(predicted))
    curve = []
    for lag in range(-reach, reach + 1):
        seen = frames[piece.valid & (frames + lag >= 0) & (frames + lag < len(predicted))]
        curve.append((predicted[seen + lag], piece.opening[seen]))
    return _Peak.of(curve, LEAST_SLID)


def _shared(pieces: Sequence[LipSample], late: Floats, reach: int) -> _Peak:
    """The lag beyond ``late`` at which a single row of features best predicts the lips of held-out folds."""
    if not pieces:
        return _Peak(0.0, 0.0, False)
    lags = range(-reach, reach + 1)
    curve = [Ridge.fit(pieces, late + lag, context=0).judge(pieces, late + lag) for lag in lags]
    return _Peak.of(curve, LEAST_REFITTED)


def _deviation(a: Floats, b: Floats) -> float:
    """Standard deviation of the correlation of unrelated series that are smooth: sqrt(sum_k r_a(k) r_b(k) / T).

    M. S. Bartlett, "On the theoretical specification and sampling properties of autocorrelated time-series", 1946.
    """
    frames = len(a)
    if frames < 2 or min(a.std(), b.std()) < 1e-9:
        return math.inf
    longest = max(1, frames // 4)
    spectra = [np.abs(np.fft.rfft(series - series.mean(), 2 * frames)) ** 2 for series in (a, b)]
    one, other = ((lags := np.fft.irfft(power)[:longest]) / lags[0] for power in spectra)
    return math.sqrt(max(1.0, 1 + 2 * float(one[1:] @ other[1:])) / frames)
