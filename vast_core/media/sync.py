"""How late the sound of a clip is.

Lip opening is regressed on audio features. What is learned from other clips is slid along a clip's own sound, and the
peak of the correlation says how late that sound is, compared with theirs. What all clips share shows in a second
regression, on a single row of features: that row tells most of the lips which belongs to their own moment, so no
prior belief about which clips are in sync is needed, and one clip alone can be judged by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from ..interfaces import SAMPLE_RATE
from .lip_regression import CONTEXT, EVERYTHING, FOLDS, Floats, LipSync, Piece, Reduction, Ridge, pearson

LEAD_MS = 20.0
"""By so much lips open ahead of their sound: 10 ms with phone posteriors, 33 with log-mel, on talkers in sync."""

LEAST_CORRELATION = 0.15

LEAST_SLID, LEAST_REFITTED = 3.0, 4.0
"""A peak counts from so many standard deviations of chance: more where the regression itself is fitted anew at each
lag. Of 60 unrelated clips of 8 s one passed each of them."""


@attrs.frozen
class Offset:
    """How late the sound of a clip is."""

    milliseconds: float
    """Positive: the sound is late, and ``shift_wave`` moves it to the front by so much."""
    correlation: float
    """Of the lip opening predicted from the sound and the tracked one, at that offset."""
    confident: bool
    """False where the correlation may be chance or has its peak at the end of the range searched."""


def shift_wave(wave: NDArray[np.float32], milliseconds: float) -> NDArray[np.float32]:
    """Correct sound (S,) that is late by ``milliseconds``; same length, silence where nothing is known."""
    late = round(milliseconds * SAMPLE_RATE / 1000)
    shifted = np.zeros_like(wave)
    length = max(0, len(wave) - abs(late))
    shifted[max(0, -late) :][:length] = wave[max(0, late) :][:length]
    return shifted


def estimate_offsets(clips: Sequence[LipSync], fps: float, max_offset_ms: float) -> list[Offset]:
    """Offset of each clip, in order, from -``max_offset_ms`` to ``max_offset_ms``.

    Each clip is judged by itself alone, then by a regression on the others so corrected, twice. A clip that the others
    do not explain, or that has no others, is left with the first judgement.
    """
    if not clips:
        return []
    reach = math.ceil(max_offset_ms * fps / 1000) + 1  # A peak needs a neighbour on either side.
    reduction = Reduction.fit(clips)
    pieces = [Piece.of(clip, reduction, number % FOLDS) for number, clip in enumerate(clips)]
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
    """A regression of lips on sound, learned from recordings, that tells how late the sound of other lips is.

    What is learned from a group of clips, such as a speaker's, is never asked about that group. With one group clips
    take its place, and of a single clip blocks of it, each predicted from the others.
    """

    reduction: Reduction
    model: Ridge
    folds: dict[str, int]
    """By group; empty where there is but one clip."""
    fps: float
    reach: int

    @classmethod
    def fit(cls, recordings: Sequence[LipSync], groups: Sequence[str], fps: float, max_offset_ms: float) -> Self:
        """Learn from those ``recordings``, each of one of ``groups``, whose sound is clearly theirs, corrected first.

        Raises:
            ValueError: where there is no recording, or in none do the lips clearly follow the sound.
        """
        found = estimate_offsets(recordings, fps, max_offset_ms)
        sure = [number for number, offset in enumerate(found) if offset.confident]
        if not sure:
            raise ValueError(f"in none of {len(recordings)} recordings do the lips clearly follow the sound")
        if len({groups[number] for number in sure}) == 1:
            groups = [clip.name for clip in recordings]
        folds = {name: number for number, name in enumerate(dict.fromkeys(groups))} if len(sure) > 1 else {}
        reduction = Reduction.fit(recordings)
        pieces = [Piece.of(recordings[number], reduction, folds.get(groups[number], 0)) for number in sure]
        if not folds:
            pieces = [pieces[0].blocks()]
        late = np.array([(found[number].milliseconds + LEAD_MS) * fps / 1000 for number in sure])
        reach = math.ceil(max_offset_ms * fps / 1000) + 1
        return cls(reduction, Ridge.fit(pieces, late, CONTEXT), folds, fps, reach)

    def of(self, clip: LipSync, group: str) -> Offset:
        """How late the sound of ``clip`` is, by what was learned from other groups (or clips: name its own)."""
        piece = Piece.of(clip, self.reduction, self.folds.get(group, self.folds.get(clip.name, EVERYTHING)))
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
        """Where series at -n ... n frames correlate best, to a fraction of a frame by a parabola."""
        height = np.array([pearson(predicted, tracked) for predicted, tracked in curve])
        top = int(height.argmax())
        reach = len(height) // 2
        if not 0 < top < len(height) - 1:
            return cls(float(top - reach), float(height[top]), False)
        left, middle, right = height[top - 1 : top + 2]
        fraction = 0.5 * (left - right) / min(left - 2 * middle + right, -1e-12)
        least = max(LEAST_CORRELATION, deviations * _deviation(*curve[top]))
        return cls(top - reach + fraction, float(middle), bool(middle >= least))


def _slid(model: Ridge, piece: Piece, reach: int) -> _Peak:
    """The lag at which the prediction of a piece, slid along its lips, agrees best."""
    predicted, _ = model.predict(piece, 0.0)
    frames = np.arange(len(predicted))
    curve = []
    for lag in range(-reach, reach + 1):
        seen = frames[piece.valid & (frames + lag >= 0) & (frames + lag < len(predicted))]
        curve.append((predicted[seen + lag], piece.opening[seen]))
    return _Peak.of(curve, LEAST_SLID)


def _shared(pieces: Sequence[Piece], late: Floats, reach: int) -> _Peak:
    """The lag beyond ``late`` at which a single row of features tells most of the lips of held-out folds."""
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
