"""How late the sound of a clip is, and how well plain regression reads lips from it.

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

from .interfaces import SAMPLE_RATE

Floats = NDArray[np.float64]

CONTEXT = 6
"""Frames before and after a frame that its regression sees: 13 in all."""
WIDEST = 64
"""Wider features are reduced to so many principal components (our choice)."""
FOLDS = 16
"""Clips are left out one by one, or in so many groups where there are more."""
BLOCKS = 6
"""A clip that is judged by itself is cut into so many blocks, each predicted from the others."""
PENALTY = 0.3
"""Ridge penalty per row of standardised features; with phone posteriors no offset moved by over 6 ms from 0.01 to 1."""
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Those that the baseline chooses from."""
LEAD_MS = 20.0
"""By so much lips open ahead of their sound: 10 ms with phone posteriors, 33 with log-mel, on talkers in sync."""
LEAST_CORRELATION = 0.15
LEAST_SLID, LEAST_REFITTED = 3.0, 4.0
"""A peak counts from so many standard deviations of chance: more where the regression itself is fitted anew at each
lag. Of 60 unrelated clips of 8 s one passed each of them."""


@attrs.frozen(eq=False)
class LipSync:
    """What is heard and seen of one clip, frame by frame."""

    name: str
    audio: NDArray[np.float32]
    """(T, A)."""
    opening: NDArray[np.float32]
    """(T,), in any unit."""
    valid: NDArray[np.bool_]
    """(T,), False where no face was seen."""

    def __attrs_post_init__(self) -> None:
        frames = len(self.opening)
        if self.audio.ndim != 2 or self.opening.ndim != 1 or {len(self.audio), len(self.valid)} != {frames}:
            raise ValueError(
                f"{self.name}: audio {self.audio.shape}, opening {self.opening.shape} and valid {self.valid.shape} "
                "must be (T, A), (T,) and (T,)"
            )


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
    reduction = _Reduction.fit(clips)
    pieces = [_Piece.of(clip, reduction, number % FOLDS) for number, clip in enumerate(clips)]
    alone = [_shared([piece.blocks()], np.zeros(1), reach) for piece in pieces]
    late = np.array([peak.frames if peak.clear else 0.0 for peak in alone])
    trusted = [number for number, peak in enumerate(alone) if peak.clear] or list(range(len(pieces)))
    peaks = alone
    for _ in range(2):
        model = _Ridge.fit([pieces[number] for number in trusted], late[trusted], CONTEXT)
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
class LipRidge:
    """Ridge regression of lip opening on 13 frames of standardised audio features: the baseline of the report.

    Each clip's opening is standardised too, so that a wide mouth weighs no more than a small one.
    """

    reduction: _Reduction
    model: _Ridge

    @classmethod
    def fit(cls, train: Sequence[LipSync]) -> Self:
        """Learn from ``train``; the penalty is the one that predicts best when clips are left out of it."""
        reduction = _Reduction.fit(train)
        pieces = [_Piece.of(clip, reduction, number % FOLDS) for number, clip in enumerate(train)]
        if len(pieces) == 1:
            pieces = [pieces[0].blocks()]
        still = np.zeros(len(pieces))
        moments = _Moments.of(pieces, still, CONTEXT)
        models = [_Ridge.solve(moments, penalty, CONTEXT) for penalty in PENALTIES]
        return cls(reduction, max(models, key=lambda model: _pearson(*model.judge(pieces, still))))

    def correlation(self, test: LipSync) -> float:
        """Correlation of predicted and tracked opening over the valid frames of a clip it has not learned from."""
        piece = _Piece.of(test, self.reduction, EVERYTHING)
        return _pearson(*self.model.judge([piece], np.zeros(1)))


@attrs.frozen(eq=False)
class LipOffset:
    """A regression of lips on sound, learned from recordings, that tells how late the sound of other lips is.

    What is learned from a group of clips, such as a speaker's, is never asked about that group. With one group clips
    take its place, and of a single clip blocks of it, each predicted from the others.
    """

    reduction: _Reduction
    model: _Ridge
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
        reduction = _Reduction.fit(recordings)
        pieces = [_Piece.of(recordings[number], reduction, folds.get(groups[number], 0)) for number in sure]
        if not folds:
            pieces = [pieces[0].blocks()]
        late = np.array([(found[number].milliseconds + LEAD_MS) * fps / 1000 for number in sure])
        reach = math.ceil(max_offset_ms * fps / 1000) + 1
        return cls(reduction, _Ridge.fit(pieces, late, CONTEXT), folds, fps, reach)

    def of(self, clip: LipSync, group: str) -> Offset:
        """How late the sound of ``clip`` is, by what was learned from other groups (or clips: name its own)."""
        piece = _Piece.of(clip, self.reduction, self.folds.get(group, self.folds.get(clip.name, EVERYTHING)))
        if not self.folds:
            piece = piece.blocks()
        peak = _slid(self.model, piece, self.reach)
        return Offset(float(peak.frames * 1000 / self.fps - LEAD_MS), peak.correlation, peak.clear)


# --------------------------------------------------------------------------------------------------- regression


@attrs.frozen(eq=False)
class _Reduction:
    """Standardises features and, where they are many, keeps their principal components."""

    mean: Floats
    scale: Floats
    basis: Floats

    @classmethod
    def fit(cls, clips: Sequence[LipSync]) -> Self:
        rows = np.concatenate([clip.audio for clip in clips]).astype(np.float64)
        mean, scale = rows.mean(0), rows.std(0) + 1e-6
        width = rows.shape[1]
        if width <= WIDEST:
            return cls(mean, scale, np.eye(width))
        rows = (rows - mean) / scale
        return cls(mean, scale, np.linalg.eigh(rows.T @ rows)[1][:, -WIDEST:])

    def __call__(self, audio: NDArray[np.float32]) -> Floats:
        reduced: Floats = ((audio - self.mean) / self.scale) @ self.basis
        return reduced


@attrs.frozen(eq=False)
class _Piece:
    """A clip made ready."""

    audio: Floats
    opening: Floats
    """(T,), of mean 0 and variance 1 over the valid frames."""
    valid: NDArray[np.bool_]
    fold: NDArray[np.int64]
    """(T,): frames of one fold, here and in other pieces, are predicted from those of the others."""

    @classmethod
    def of(cls, clip: LipSync, reduction: _Reduction, fold: int) -> Self:
        opening = np.asarray(clip.opening, np.float64)
        valid = np.asarray(clip.valid, bool)
        mean, spread = (opening[valid].mean(), opening[valid].std()) if valid.any() else (0.0, 0.0)
        if spread < 1e-9:  # A mouth that never moves says nothing about its sound.
            valid, spread = np.zeros_like(valid), 1.0
        return cls(reduction(clip.audio), (opening - mean) / spread, valid, np.full(len(opening), fold))

    def rows(self, late: float, context: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Features (T, D) heard ``late`` frames after each frame, and which of them (T,) lie in the clip."""
        last = len(self.audio) - 1
        time = np.arange(last + 1) + late
        at = np.clip(time, 0, last)
        before = at.astype(np.int64)
        share = (at - before)[:, None]
        heard = (1 - share) * self.audio[before] + share * self.audio[np.minimum(before + 1, last)]
        window = np.arange(last + 1)[:, None] + np.arange(-context, context + 1)
        rows = heard[np.clip(window, 0, last)].reshape(last + 1, -1)
        return rows, (time >= 0) & (time <= last) & self.valid

    def blocks(self) -> _Piece:
        """The piece with consecutive blocks for folds."""
        return attrs.evolve(self, fold=np.arange(len(self.fold)) * BLOCKS // max(1, len(self.fold)))


@attrs.frozen(eq=False)
class _Moments:
    """X'X, X'y and the rows of each fold."""

    gram: dict[int, Floats]
    cross: dict[int, Floats]
    count: dict[int, int]

    @classmethod
    def of(cls, pieces: Sequence[_Piece], late: Floats, context: int) -> Self:
        gram: dict[int, Floats] = {}
        cross: dict[int, Floats] = {}
        count: dict[int, int] = {}
        for piece, shift in zip(pieces, late, strict=True):
            rows, valid = piece.rows(shift, context)
            for fold in np.unique(piece.fold):
                used = valid & (piece.fold == fold)
                x, y = rows[used], piece.opening[used]
                gram[fold] = gram.get(fold, 0.0) + x.T @ x
                cross[fold] = cross.get(fold, 0.0) + x.T @ y
                count[fold] = count.get(fold, 0) + len(y)
        return cls(gram, cross, count)


EVERYTHING = -1
"""Fold of what was not learned from."""


@attrs.frozen(eq=False)
class _Ridge:
    """Weights (D,) learned without each fold, and with all."""

    weights: dict[int, Floats]
    context: int

    @classmethod
    def fit(cls, pieces: Sequence[_Piece], late: Floats, context: int) -> Self:
        return cls.solve(_Moments.of(pieces, late, context), PENALTY, context)

    @classmethod
    def solve(cls, moments: _Moments, penalty: float, context: int) -> Self:
        weights: dict[int, Floats] = {}
        for left_out in (EVERYTHING, *moments.gram):
            kept = [fold for fold in moments.gram if fold != left_out]
            count = sum(moments.count[fold] for fold in kept)
            if count:
                gram: Floats = np.sum([moments.gram[fold] for fold in kept], axis=0)
                cross: Floats = np.sum([moments.cross[fold] for fold in kept], axis=0)
                solved: Floats = np.linalg.solve(gram + penalty * count * np.eye(len(cross)), cross).astype(np.float64)
                weights[left_out] = solved
            elif left_out != EVERYTHING:
                weights[left_out] = np.zeros_like(moments.cross[left_out])
        return cls(weights, context)

    def predict(self, piece: _Piece, late: float) -> tuple[Floats, NDArray[np.bool_]]:
        """Opening (T,) of a piece by what was learned without its folds, and where (T,) that may be judged."""
        rows, valid = piece.rows(late, self.context)
        predicted = np.zeros(len(rows))
        for fold in np.unique(piece.fold):
            weights = self.weights.get(fold, self.weights.get(EVERYTHING))
            if weights is not None:
                predicted[piece.fold == fold] = rows[piece.fold == fold] @ weights
        return predicted, valid

    def judge(self, pieces: Sequence[_Piece], late: Floats) -> tuple[Floats, Floats]:
        """Predicted and tracked opening over the valid frames of all pieces."""
        pairs = []
        for piece, shift in zip(pieces, late, strict=True):
            predicted, valid = self.predict(piece, shift)
            pairs.append((predicted[valid], piece.opening[valid]))
        predicted, tracked = (np.concatenate(side) for side in zip(*pairs, strict=True))
        return predicted, tracked


# -------------------------------------------------------------------------------------------------------- peaks


@attrs.frozen
class _Peak:
    frames: float
    correlation: float
    clear: bool

    @classmethod
    def of(cls, curve: Sequence[tuple[Floats, Floats]], deviations: float) -> Self:
        """Where series at -n ... n frames correlate best, to a fraction of a frame by a parabola."""
        height = np.array([_pearson(predicted, tracked) for predicted, tracked in curve])
        top = int(height.argmax())
        reach = len(height) // 2
        if not 0 < top < len(height) - 1:
            return cls(float(top - reach), float(height[top]), False)
        left, middle, right = height[top - 1 : top + 2]
        fraction = 0.5 * (left - right) / min(left - 2 * middle + right, -1e-12)
        least = max(LEAST_CORRELATION, deviations * _deviation(*curve[top]))
        return cls(top - reach + fraction, float(middle), bool(middle >= least))


def _slid(model: _Ridge, piece: _Piece, reach: int) -> _Peak:
    """The lag at which the prediction of a piece, slid along its lips, agrees best."""
    predicted, _ = model.predict(piece, 0.0)
    frames = np.arange(len(predicted))
    curve = []
    for lag in range(-reach, reach + 1):
        seen = frames[piece.valid & (frames + lag >= 0) & (frames + lag < len(predicted))]
        curve.append((predicted[seen + lag], piece.opening[seen]))
    return _Peak.of(curve, LEAST_SLID)


def _shared(pieces: Sequence[_Piece], late: Floats, reach: int) -> _Peak:
    """The lag beyond ``late`` at which a single row of features tells most of the lips of held-out folds."""
    if not pieces:
        return _Peak(0.0, 0.0, False)
    lags = range(-reach, reach + 1)
    curve = [_Ridge.fit(pieces, late + lag, context=0).judge(pieces, late + lag) for lag in lags]
    return _Peak.of(curve, LEAST_REFITTED)


def _pearson(a: Floats, b: Floats) -> float:
    if len(a) < 2 or min(a.std(), b.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


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
