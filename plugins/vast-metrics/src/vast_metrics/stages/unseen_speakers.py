"""How well audio features predict the lips of unseen people: ridge regression, leaving one speaker out.

No network is trained, and only the penalty is chosen, so features can be compared in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vast_core.errors import InputError
from vast_core.media import LipSync, pearson

Floats = NDArray[np.float64]

PENALTIES = tuple(float(penalty) for penalty in 10.0 ** np.arange(-4, 1.5, 0.5))
"""Candidate penalties, relative to the number of frames and the features' mean variance."""
GROUPS = 12
"""Maximum number of groups of speakers; with more speakers, several are left out together."""


def leave_one_speaker_out(clips: Sequence[LipSync], speakers: Sequence[str], reach: int) -> list[float]:
    """Pearson correlation of predicted and tracked opening for each clip, by a model of other speakers' clips.

    W = argmin |y - X W|^2 + penalty N v |W|^2, where X holds the features of a frame and of ``reach`` frames on either
    side, centred, v is their mean variance, and y the opening as deviation from each clip's own mean. Features are not
    scaled individually, because a rare phone would then count as much as silence. The penalty is the one whose
    predictions correlate best when a second speaker is left out; the test speaker does not affect it.

    ``clips[i]`` is of ``speakers[i]``. The correlation is 0 for a mouth that never moves. Raises :class:`InputError`
    for fewer than three speakers.
    """
    names = list(dict.fromkeys(speakers))
    if len(names) < 3:
        raise InputError(
            f"clips of {len(names)} speakers ({', '.join(names)}); at least three are needed, because one is left out "
            "and the penalty is chosen by leaving out a second"
        )
    groups = [names.index(speaker) % GROUPS for speaker in speakers]
    rows = [_windows(clip.audio, reach) for clip in clips]
    openings = [_standardised(clip) for clip in clips]
    sums: dict[int, _Sums] = {}
    for clip, group, x, y in zip(clips, groups, rows, openings, strict=True):
        sums[group] = sums.get(group, _Sums(x.shape[1])) + _Sums.of(x[clip.valid], y[clip.valid])
    fits: dict[frozenset[int], list[Floats]] = {}

    def scores(group: int, besides: int) -> Floats:
        """Correlations (clips, penalties) over a group's clips, by models of all groups except these two."""
        left_out = frozenset((group, besides))
        if left_out not in fits:
            fits[left_out] = sum((own for g, own in sums.items() if g not in left_out), _Sums(rows[0].shape[1])).solve()
        members = [number for number, own in enumerate(groups) if own == group]
        return np.array(
            [
                [pearson(rows[n][clips[n].valid] @ weights, openings[n][clips[n].valid]) for weights in fits[left_out]]
                for n in members
            ]
        )

    found = [0.0] * len(clips)
    for group in sums:
        others = np.concatenate([scores(other, besides=group) for other in sums if other != group])
        best = int(others.mean(0).argmax())
        members = [number for number, own in enumerate(groups) if own == group]
        for number, correlations in zip(members, scores(group, besides=group), strict=True):
            found[number] = float(correlations[best])
    return found


def _windows(audio: NDArray[np.float32], reach: int) -> Floats:
    """Features (T, (2 reach + 1) A) of each frame and its neighbours; the ends are repeated outside the clip."""
    at = np.arange(len(audio))[:, None] + np.arange(-reach, reach + 1)
    rows: Floats = audio.astype(np.float64)[np.clip(at, 0, len(audio) - 1)].reshape(len(audio), -1)
    return rows


def _standardised(clip: LipSync) -> Floats:
    """The standardised opening (T,) over valid frames, so that wide and small mouths have equal weight."""
    opening = clip.opening.astype(np.float64)
    seen = opening[clip.valid]
    spread = float(seen.std()) if len(seen) else 0.0
    return np.zeros_like(opening) if spread < 1e-9 else (opening - seen.mean()) / spread


class _Sums:
    """Sums over frames of x x', x y, x and y: the sufficient statistics of linear regression."""

    def __init__(self, width: int) -> None:
        self.xx: Floats = np.zeros((width, width))
        self.xy: Floats = np.zeros(width)
        self.x: Floats = np.zeros(width)
        self.y = 0.0
        self.frames = 0

    @classmethod
    def of(cls, x: Floats, y: Floats) -> _Sums:
        own = cls(x.shape[1])
        own.xx, own.xy, own.x, own.y, own.frames = x.T @ x, x.T @ y, x.sum(0), float(y.sum()), len(y)
        return own

    def __add__(self, other: _Sums) -> _Sums:
        both = _Sums(len(self.x))
        both.xx, both.xy, both.x = self.xx + other.xx, self.xy + other.xy, self.x + other.x
        both.y, both.frames = self.y + other.y, self.frames + other.frames
        return both

    def solve(self) -> list[Floats]:
        """Weights (width,) for each of the penalties, from one decomposition of the covariance."""
        count = max(self.frames, 1)
        mean = self.x / count
        spectrum, basis = np.linalg.eigh(self.xx / count - np.outer(mean, mean))
        across = basis.T @ (self.xy / count - mean * self.y / count)
        variance = max(float(spectrum.mean()), 1e-12)
        return [basis @ (across / (np.maximum(spectrum, 0) + penalty * variance)) for penalty in PENALTIES]
