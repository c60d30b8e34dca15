"""Closed-form ridge regression of expression on the audio around a frame."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor, nn

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Candidate penalties of the frame itself, as shares of the number of frames."""
ADAPTING = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Candidate penalties where there are weights to start from, which little footage hardly improves."""
TAPERS = (0.0, 0.5, 1.0, 1.5)
"""Candidate slopes a: the penalty of a frame at distance d is exp(a d) times as high. Distant audio carries less
information about the mouth, and with equal penalties a short training footage overfits to it."""
ADAPTING_TAPER = 1.0
FOLDS = 4


def windows(audio: Tensor, reach: int) -> Tensor:
    """The frames of audio (T, A) with ``reach`` neighbours on either side (T, A * (2 reach + 1)); zeros beyond."""
    padded = nn.functional.pad(audio, (0, 0, reach, reach))
    return padded.unfold(0, 2 * reach + 1, 1).flatten(1)


class _Moments:
    """Sums of x x', x y' and y^2 over frames: the sufficient statistics of linear regression."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.xx = torch.zeros(inputs, inputs, dtype=torch.float64)
        self.xy = torch.zeros(inputs, outputs, dtype=torch.float64)
        self.yy = torch.zeros(outputs, dtype=torch.float64)
        self.frames = 0

    def add(self, x: Tensor, y: Tensor) -> None:
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += y.square().sum(0)
        self.frames += len(x)

    def without(self, other: _Moments) -> _Moments:
        rest = _Moments(*self.xy.shape)
        rest.xx, rest.xy, rest.yy = self.xx - other.xx, self.xy - other.xy, self.yy - other.yy
        rest.frames = self.frames - other.frames
        return rest

    def solve(self, penalty: Tensor, start: Tensor) -> Tensor:
        """Weights (inputs, outputs) with a penalty per input (inputs,) on their difference from ``start``."""
        factor = torch.linalg.cholesky(self.xx + torch.diag(penalty * max(self.frames, 1)))
        return start + torch.cholesky_solve(self.xy - self.xx @ start, factor)

    def error(self, weights: Tensor) -> Tensor:
        """Sum of squared errors of ``weights``."""
        return self.yy.sum() - 2 * (weights * self.xy).sum() + (weights * (self.xx @ weights)).sum()

    def energy(self, weights: Tensor) -> Tensor:
        """Sum of squares (outputs,) of the predictions of ``weights``."""
        return (weights * (self.xx @ weights)).sum(0)


@attrs.frozen(kw_only=True, eq=False)
class RidgeFit:
    """A regression, and how much less than its targets it moves on clips that it was not fitted to."""

    weights: Tensor
    """(E, A, 2 ``reach`` + 1)."""
    size: Tensor
    """(E,): root mean square of the predictions, relative to that of the targets."""


def fit_ridge(clips: Sequence[tuple[Tensor, Tensor, Tensor]], reach: int, start: Tensor | None = None) -> RidgeFit:
    """The regression from audio (T, A) to each clip's centred expression (T, E), with mask (T,).

    W = argmin |Y - X W|^2 + N sum_d penalty exp(taper |d|) |W_d - S_d|^2; W_d applies to the frame at distance d, and S
    is ``start`` (E, A, 2 ``reach`` + 1), by default 0. Penalty and taper are chosen by cross-validation. A fold is a
    run of whole clips, so that neighbouring frames are never on both sides; with fewer clips than folds, a fold is a
    part of each clip.
    """
    width, outputs = clips[0][0].shape[1], clips[0][1].shape[1]
    inputs = width * (2 * reach + 1)
    folds = [_Moments(inputs, outputs) for _ in range(FOLDS)]
    for number, (audio, expression, mask) in enumerate(clips):
        if mask.any():
            x = windows(audio, reach)[mask].double()
            y = (expression[mask] - expression[mask].mean(0)).double()
            if len(clips) >= FOLDS:
                folds[number * FOLDS // len(clips)].add(x, y)
            else:
                for fold, *part in zip(folds, x.tensor_split(FOLDS), y.tensor_split(FOLDS), strict=True):
                    fold.add(*part)
    whole = _Moments(inputs, outputs)
    for fold in folds:
        whole.xx += fold.xx
        whole.xy += fold.xy
        whole.yy += fold.yy
        whole.frames += fold.frames
    seen = [fold for fold in folds if fold.frames]
    begin = torch.zeros(inputs, outputs).double() if start is None else start.flatten(1).T.double()

    def held_out_error(penalty: Tensor) -> float:
        return float(sum(fold.error(whole.without(fold).solve(penalty, begin)) for fold in seen))

    distance = torch.arange(-reach, reach + 1).abs().double().repeat(width)
    candidates = [(penalty, taper) for taper in TAPERS for penalty in PENALTIES]
    if start is not None:
        candidates = [(penalty, ADAPTING_TAPER) for penalty in ADAPTING]
    tried = [penalty * torch.exp(taper * distance) for penalty, taper in candidates]
    best = min(tried, key=held_out_error)
    moved = sum((fold.energy(whole.without(fold).solve(best, begin)) for fold in seen), torch.zeros(outputs).double())
    return RidgeFit(
        weights=whole.solve(best, begin).T.reshape(outputs, width, 2 * reach + 1).float(),
        size=(moved / whole.yy.clamp_min(1e-12)).sqrt().float(),
    )
