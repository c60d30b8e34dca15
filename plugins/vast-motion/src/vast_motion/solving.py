"""Bounded least squares through time.

Minimises, over curves w (T, K) in [0, 1], with shapes D (K, N), motion x (T, N) and d the root mean square of |D_k|,

    1/2 sum_t |x_t - w_t D|^2 + SPARSE d sum_tk |D_k| w_tk + 1/2 SMOOTH sum_tk |D_k|^2 (w_tk - w_{t-1,k})^2

by an accelerated projected gradient with restarts (Beck & Teboulle 2009; O'Donoghue & Candes 2015), each shape scaled
to length 1. The problem is convex: there is one minimum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SPARSE = 0.005
"""Price of what a curve moves: shapes that undo each other cost more than neither, and two that together do what one
does cost more than that one (our choice)."""
SMOOTH = 0.05
"""Price of a change from frame to frame (our choice; it removes what is below the tracker's noise)."""
ACCURACY = 1e-6
"""Change of every weight in a step below which the solution counts as found."""
STEPS = 4000


def solve(shapes: Doubles, motion: Doubles, *, sparse: float = SPARSE, smooth: float = SMOOTH) -> Doubles:
    """Curves (T, K) in [0, 1] of ``motion`` (T, N) in ``shapes`` (K, N); no shape may be 0."""
    gram, wanted = shapes @ shapes.T, motion @ shapes.T
    length = np.sqrt(np.diag(gram))
    gram, wanted = gram / np.outer(length, length), wanted / length - sparse * np.sqrt(np.mean(length**2))
    step = 1 / (np.linalg.eigvalsh(gram)[-1] + 4 * smooth)
    curves = np.zeros_like(wanted)
    ahead, momentum = curves, 1.0
    for _ in range(STEPS):
        slope = ahead @ gram - wanted
        between = smooth * np.diff(ahead, axis=0)
        slope[1:] += between
        slope[:-1] -= between
        found = np.clip(ahead - step * slope, 0, length)
        moved = found - curves
        if np.sum((ahead - found) * moved) > 0:  # the momentum leads uphill
            ahead, momentum = found, 1.0
        else:
            further = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead, momentum = found + (momentum - 1) / further * moved, further
        curves = found
        if np.abs(moved / length).max(initial=0) < ACCURACY:
            break
    return np.asarray(curves / length)
