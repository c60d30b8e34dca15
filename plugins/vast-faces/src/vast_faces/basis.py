"""The expression basis: two blocks of principal components, learned from moments of the corpus.

Let x be the displacement of all vertices from the speaker's neutral face, L the rows of the lower face, and C the
covariance of x without its mean and without what follows the rotation of the head:

* lower block: U holds the leading eigenvectors of C_LL, s = U^T x_L; each column is the motion of the whole face that
  goes with s, C_:L U / eigenvalue, whose lower rows are U itself;
* rest: V holds the leading eigenvectors of the covariance of x - B s, whose lower rows are orthogonal to U.

The lower coefficients are therefore computed from the lower face alone, and the others from the remainder.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

TURNS = 5
"""Features of the rotation of the head."""
FOLDS = 8
"""Groups of tracks for cross-validation of the regression on the rotation of the head."""
FEWEST = 4
"""Minimum tracks for that regression; with fewer, an expression that coincides with a rotation would be removed."""
WORTH = 0.01
"""Share of the variance that the rotation must explain on tracks not used for the fit."""
RANK = 1e-8
"""Share of the total variance below which a component counts as rounding error."""
SMALLEST = 1e-3
"""Deviation in centimetres, over all vertices, below which it does too: the precision of float32 pixel coordinates."""


@attrs.frozen(eq=False)
class Basis:
    """A linear expression model."""

    columns: Doubles
    """(E, D): displacement in centimetres per unit of each coefficient; 0 if the corpus has fewer independent
    motions."""
    mean: Doubles
    """(D,)."""
    leak: Doubles
    """(TURNS, D): displacement that follows the rotation of the head rather than expression; 0 if it explains too
    little."""
    scale: float
    """Scale of the coefficients in centimetres: the first has standard deviation 1."""


def turning(rotation: NDArray[np.floating[Any]]) -> Doubles:
    """Yaw, pitch, roll and two squares (T, TURNS) of the head's ``rotation`` (T, 3, 3), each centred."""
    sideways, upward, roll = rotation[:, 0, 2], rotation[:, 1, 2], rotation[:, 1, 0]
    features: Doubles = np.stack([sideways, upward, roll, sideways**2, upward**2], axis=1).astype(np.float64)
    return np.asarray(features - features.mean(0))


@attrs.define(eq=False)
class _Fold:
    """Moments of one part of the corpus."""

    turn: Doubles = attrs.field(factory=lambda: np.zeros((TURNS, TURNS)))
    """Sum of f f^T."""
    cross: Doubles = attrs.field(factory=lambda: np.zeros((TURNS, 1)))
    """Sum of f x^T."""


class Moments:
    """Sums over a corpus of any size, in constant memory."""

    def __init__(self, size: int) -> None:
        """Start with no tracks; ``size`` is D."""
        self.frames = 0
        self._tracks = 0
        self._sum = np.zeros(size)
        self._square = np.zeros((size, size))
        self._folds = [_Fold(cross=np.zeros((TURNS, size))) for _ in range(FOLDS)]

    def add(self, displacement: Doubles, features: Doubles) -> None:
        """Add a track: displacement x (T, D) and features f (T, TURNS) of the rotation of the head."""
        self.frames += len(displacement)
        self._sum += displacement.sum(0)
        self._square += displacement.T @ displacement
        fold = self._folds[self._tracks % FOLDS]
        self._tracks += 1
        fold.turn += features.T @ features
        fold.cross += features.T @ displacement

    def basis(self, coefficients: int, lower: int, rows: NDArray[np.integer[Any]]) -> Basis:
        """Basis of ``coefficients`` columns, the first ``lower`` of them for the lower face at ``rows`` of x."""
        mean = self._sum / self.frames
        covariance = self._square / self.frames - np.outer(mean, mean)
        leak, turn, cross = self._leak(float(np.trace(covariance)))
        explained_by_turning = leak.T @ cross
        covariance += leak.T @ turn @ leak - explained_by_turning - explained_by_turning.T
        total = float(np.trace(covariance))

        columns = np.zeros((coefficients, len(mean)))
        values, vectors = _leading(covariance[np.ix_(rows, rows)], lower, total)
        motion = (covariance[:, rows] @ vectors) / values
        columns[: len(values)] = motion.T
        # C - C_:L U / eigenvalue U^T C_L: is the covariance of the residual of the lower block.
        rest = covariance - (motion * values) @ motion.T
        rest_values, rest_vectors = _leading(rest, coefficients - lower, total)
        columns[lower : lower + len(rest_values)] = rest_vectors.T
        deviations = np.sqrt(np.concatenate([values, rest_values, [0.0]]))
        scale = float(deviations[0]) or 1.0
        return Basis(columns * scale, mean, leak, scale)

    def _leak(self, variance: float) -> tuple[Doubles, Doubles, Doubles]:
        """The regression of x on f (TURNS, D), with mean f f^T and mean f x^T.

        The part of each vertex is shrunk by the variance it explains on tracks not used for the fit, so that lips,
        which move independently of the head, are unaffected.
        """
        turn = sum((fold.turn for fold in self._folds), np.zeros((TURNS, TURNS)))
        cross = sum((fold.cross for fold in self._folds), np.zeros_like(self._folds[0].cross))
        agreement, size = np.zeros(cross.shape[1] // 3), np.zeros(cross.shape[1] // 3)
        for fold in self._folds:
            found = _ridge(turn - fold.turn, cross - fold.cross)
            agreement += (found * fold.cross).sum(0).reshape(-1, 3).sum(1)
            size += (found * (fold.turn @ found)).sum(0).reshape(-1, 3).sum(1)
        share = np.clip(agreement / np.maximum(size, 1e-12), 0, 1)
        gain = float(np.sum(2 * share * agreement - share**2 * size))
        worth = self._tracks >= FEWEST and gain > WORTH * variance * self.frames
        leak = _ridge(turn, cross) * np.repeat(share, 3) if worth else np.zeros_like(cross)
        return leak, turn / self.frames, cross / self.frames


def _ridge(turn: Doubles, cross: Doubles) -> Doubles:
    """Ridge regression; the penalty only prevents infinities for a head at rest."""
    ridge = 1e-3 * float(np.trace(turn)) / TURNS + 1e-9
    return np.asarray(np.linalg.solve(turn + ridge * np.eye(TURNS), cross), np.float64)


def _leading(covariance: Doubles, count: int, total: float) -> tuple[Doubles, Doubles]:
    """The ``count`` largest eigenvalues above rounding error, and their vectors (D, count), with fixed signs."""
    values, vectors = np.linalg.eigh(covariance)
    order = [at for at in np.argsort(-values)[:count] if values[at] > max(RANK * total, SMALLEST**2)]
    chosen = vectors[:, order]
    largest = np.abs(chosen).argmax(0)
    chosen = chosen * np.sign(chosen[largest, np.arange(len(order))])
    return values[order], chosen
