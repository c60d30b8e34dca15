"""Lips with their sound, and ridge regression of lip opening on audio features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "BLOCKS",
    "CONTEXT",
    "EVERYTHING",
    "FOLDS",
    "PENALTY",
    "LipSample",
    "LipSync",
    "Moments",
    "Reduction",
    "Ridge",
    "pearson",
]
from torch import Tensor

from ..interfaces import Face

Floats = NDArray[np.float64]

CONTEXT = 6
"""Frames before and after a frame that the regression uses: 13 in all."""

WIDEST = 64
"""Number of principal components to which wider features are reduced (our choice)."""

FOLDS = 16
"""Number of groups in which clips are left out; with fewer clips, they are left out one by one."""

BLOCKS = 6
"""Number of blocks into which a single clip is cut; each block is predicted from the others."""

PENALTY = 0.3
"""Ridge penalty per row of standardised features. With phone posteriors, penalties from 0.01 to 1 moved no offset by
more than 6 ms."""

STILL = 1e-7
"""Standard deviation of a series below which it is rounding noise."""


@attrs.frozen(eq=False)
class LipSync:
    """Audio features and lip opening of one clip, frame by frame."""

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

    @classmethod
    def of(cls, name: str, face: Face, vertices: Tensor, audio: Tensor, valid: NDArray[np.bool_] | None = None) -> Self:
        """The lips of vertices (T, V, 3) with their audio features (T, A); by default, every frame is valid."""
        opening = face.lip_opening(vertices).detach().to("cpu", torch.float32).numpy()
        heard = audio.detach().to("cpu", torch.float32).numpy()
        return cls(name, heard, opening, np.ones(len(opening), bool) if valid is None else valid)


@attrs.frozen(eq=False)
class Reduction:
    """Standardises features and reduces wide ones to their principal components."""

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
class LipSample:
    """One clip, reduced and standardised for the regression."""

    audio: Floats
    opening: Floats
    """(T,), of mean 0 and variance 1 over the valid frames."""
    valid: NDArray[np.bool_]
    fold: NDArray[np.int64]
    """(T,): number of the fold. Frames of a fold, in all pieces, are predicted from the frames of the other folds."""

    @classmethod
    def of(cls, clip: LipSync, reduction: Reduction, fold: int) -> Self:
        opening = np.asarray(clip.opening, np.float64)
        valid = np.asarray(clip.valid, bool)
        mean, spread = (opening[valid].mean(), opening[valid].std()) if valid.any() else (0.0, 0.0)
        if spread < 1e-9:  # A mouth that never moves carries no information about the sound.
            valid, spread = np.zeros_like(valid), 1.0
        return cls(reduction(clip.audio), (opening - mean) / spread, valid, np.full(len(opening), fold))

    def rows(self, late: float, context: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Features (T, D) heard ``late`` frames after each frame, and whether each (T,) lies in the clip."""
        last = len(self.audio) - 1
        time = np.arange(last + 1) + late
        at = np.clip(time, 0, last)
        before = at.astype(np.int64)
        share = (at - before)[:, None]
        heard = (1 - share) * self.audio[before] + share * self.audio[np.minimum(before + 1, last)]
        window = np.arange(last + 1)[:, None] + np.arange(-context, context + 1)
        rows = heard[np.clip(window, 0, last)].reshape(last + 1, -1)
        return rows, (time >= 0) & (time <= last) & self.valid

    def blocks(self) -> LipSample:
        """The piece with consecutive blocks as its folds."""
        return attrs.evolve(self, fold=np.arange(len(self.fold)) * BLOCKS // max(1, len(self.fold)))


@attrs.frozen(eq=False)
class Moments:
    """X'X, X'y and the number of rows, for each fold."""

    gram: dict[int, Floats]
    cross: dict[int, Floats]
    count: dict[int, int]

    @classmethod
    def of(cls, pieces: Sequence[LipSample], late: Floats, context: int) -> Self:
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
"""Fold of data that the regression has not learned from."""


@attrs.frozen(eq=False)
class Ridge:
    """Weights (D,) learned without each fold, and with all folds."""

    weights: dict[int, Floats]
    context: int

    @classmethod
    def fit(cls, pieces: Sequence[LipSample], late: Floats, context: int) -> Self:
        return cls.solve(Moments.of(pieces, late, context), PENALTY, context)

    @classmethod
    def solve(cls, moments: Moments, penalty: float, context: int) -> Self:
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

    def predict(self, piece: LipSample, late: float) -> tuple[Floats, NDArray[np.bool_]]:
        """Opening (T,) predicted without the frames' own folds, and whether each frame (T,) can be judged."""
        rows, valid = piece.rows(late, self.context)
        predicted = np.zeros(len(rows))
        for fold in np.unique(piece.fold):
            weights = self.weights.get(fold, self.weights.get(EVERYTHING))
            if weights is not None:
                predicted[piece.fold == fold] = rows[piece.fold == fold] @ weights
        return predicted, valid

    def judge(self, pieces: Sequence[LipSample], late: Floats) -> tuple[Floats, Floats]:
        """Predicted and tracked opening over the valid frames of all pieces."""
        pairs = []
        for piece, shift in zip(pieces, late, strict=True):
            predicted, valid = self.predict(piece, shift)
            pairs.append((predicted[valid], piece.opening[valid]))
        predicted, tracked = (np.concatenate(side) for side in zip(*pairs, strict=True))
        return predicted, tracked


def pearson(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson correlation of two series (T,); 0 (our choice, as it is undefined) where one of them does not vary."""
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(one) < 2 or min(one.std(), other.std()) < STILL:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
