"""The neutral face of a person known from one clip.

The median of a clip takes a lasting smile for the shape of the face, and its style is lost. The expression network of
the landmarker (:meth:`vast_faces.tracker.Landmarker.scores`) tells expression from shape, also for faces it has never
seen. With canonical vertices x_t (V, 3), scores s_t (52,), and W and s0 learned from many people,

    neutral face = median over t of x_t - gain (s_t - s0) W

W is a ridge regression of x on s within clips: each clip's mean is taken away on both sides, so that no shape of a face
enters. s0 is the mean over people of their mean scores. Both start from values learned on synthetic faces, which ship
with the package, and move away from them as there is more footage (our choice).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.runs import read_tensors

from .config import VERTICES
from .tracker import SCORES

Doubles = NDArray[np.float64]

SHIPPED = Path(__file__).with_name("neutral.safetensors")
"""W and s0 of synthetic faces, made by ``python -m vast_faces.learn_neutral``."""
PENALTY = 5e-5
"""Ridge penalty per frame, for scores in [0, 1]."""
FEWEST = 5_000
"""Frames that the penalty counts at least: with less footage, W stays nearer to where it starts."""
GAIN = 1.2
"""Factor of what W tells, since a regression on scores with errors shrinks: .84 to .89 of the lips and .69 to .74 of
the upper face was found of two people (M030 and W009 of MEAD)."""
PEOPLE = 1.0
"""People that the initial s0 counts as."""


@attrs.frozen(eq=False)
class Reading:
    """What scores say about a face."""

    weights: Doubles
    """W, (52, V * 3), canonical centimetres per unit of a score."""
    usual: Doubles
    """s0, (52,), scores that count as neutral."""

    @classmethod
    def shipped(cls) -> Reading:
        """That of synthetic faces."""
        tensors, _ = read_tensors(SHIPPED)
        return cls(tensors["weights"].double().numpy().reshape(SCORES, -1), tensors["usual"].double().numpy())

    def rest(self, shapes: Doubles, scores: Doubles) -> Doubles:
        """Vertices (T, V, 3) without the expression that their scores (T, 52) tell."""
        rest: Doubles = shapes - GAIN * ((scores - self.usual) @ self.weights).reshape(-1, VERTICES, 3)
        return rest


class ReadingMoments:
    """Sums over a corpus of any size, from which W and s0 follow."""

    def __init__(self) -> None:
        self._frames = 0
        self._square = np.zeros((SCORES, SCORES))
        self._cross = np.zeros((SCORES, VERTICES * 3))
        self._scores: dict[str, tuple[Doubles, int]] = {}  # sum and number of each speaker's

    def add(self, speaker: str, shapes: Doubles, scores: Doubles) -> None:
        """Add a clip of ``speaker``: vertices (T, V, 3) and scores (T, 52)."""
        x = scores - scores.mean(0)
        y = (shapes - shapes.mean(0)).reshape(len(shapes), -1)
        self._frames += len(x)
        self._square += x.T @ x
        self._cross += x.T @ y
        total, frames = self._scores.get(speaker, (np.zeros(SCORES), 0))
        self._scores[speaker] = total + scores.sum(0), frames + len(scores)

    def reading(self, start: Reading | None) -> Reading:
        """The ridge regression, drawn towards ``start`` or towards 0; ``start`` itself if nothing was added."""
        if not self._frames:
            if start is None:
                raise ValueError("there is nothing to learn from: add() was not called")
            return start
        penalty = PENALTY * max(self._frames, FEWEST) * np.eye(SCORES)
        people: Doubles = np.array([total / frames for total, frames in self._scores.values()])
        if start is None:
            start = Reading(np.zeros_like(self._cross), people.mean(0))
        rest = self._cross - self._square @ start.weights
        weights = start.weights + np.linalg.solve(self._square + penalty, rest)
        usual = (PEOPLE * start.usual + people.sum(0)) / (PEOPLE + len(people))
        return Reading(np.asarray(weights, np.float64), np.asarray(usual, np.float64))


def median(rests: Iterable[Doubles]) -> NDArray[np.float32]:
    """Median (V, 3) over all frames of several (T, V, 3)."""
    middle: NDArray[np.float32] = np.median(np.concatenate(list(rests)), axis=0).astype(np.float32)
    return middle
