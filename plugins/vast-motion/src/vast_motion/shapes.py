"""The shapes that the curves weigh: for each ARKit name, how far each vertex of the canonical face moves at weight 1.

They are the face units of the MakeHuman community (M. Suominen, CC0), carried over to the canonical face by
:mod:`vast_motion.transfer`. A person's face moves a little differently, so an avatar may have shapes of its own, which
stay near these (after Li, Weise & Pauly 2010, "Example-based facial rigging").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vast_core.runs import read_tensors

from .names import NAMES, UNSEEN
from .solving import solve

__all__ = ["SOLVED", "general_shapes", "own_shapes", "solved_curves"]

Doubles = NDArray[np.float64]

_FILE = Path(__file__).with_name("shapes.safetensors")

SOLVED = np.array([at for at, name in enumerate(NAMES) if name not in UNSEEN])
"""(43,): indices in ``NAMES`` of the shapes that are solved."""
_OPEN, _CLOSE = NAMES.index("jawOpen"), NAMES.index("mouthClose")

NEARNESS = 0.05
"""How strongly own shapes are drawn to the general ones, per frame (our choice: with it, 97 % of the motion in
footage that was not used is explained, and each shape's direction has a cosine of at least .9 with the general one)."""
ROUNDS = 3
"""How often curves and own shapes are computed in turn."""
MOST_FRAMES = 2000
"""Frames from which own shapes are computed at most."""


def general_shapes() -> Doubles:
    """The shapes (52, V, 3) of the canonical face, in centimetres."""
    tensors, _ = read_tensors(_FILE)
    return tensors["shapes"].double().numpy()


def own_shapes(moved: Doubles, general: Doubles) -> Doubles:
    """Shapes (52, V, 3) of a face whose vertices move by ``moved`` (T, V, 3), in centimetres.

    Minimises |moved - curves shapes|^2 + p T sum_k c_k |shape_k - general_k|^2 with p = ``NEARNESS`` and c_k = median_j
    |general_j|^2 / |general_k|^2, in turn over the curves and over the shapes. Shapes that are not solved stay general.
    """
    rows = moved[:: max(1, -(-len(moved) // MOST_FRAMES))].reshape(-1, general[0].size)
    start = general.reshape(len(general), -1)[SOLVED]
    size = np.square(start).sum(1)
    pull = NEARNESS * len(rows) * np.median(size) / size
    shapes = general.copy()
    for _ in range(ROUNDS):
        curves = solved_curves(rows.reshape(-1, *general.shape[1:]), shapes)[:, SOLVED]
        found = np.linalg.solve(curves.T @ curves + np.diag(pull), curves.T @ rows + pull[:, None] * start)
        shapes[SOLVED] = found.reshape(-1, *general.shape[1:])
    return shapes


def solved_curves(moved: Doubles, shapes: Doubles) -> Doubles:
    """Curves (T, 52) in [0, 1] with which ``shapes`` (52, V, 3) give ``moved`` (T, V, 3) best.

    ``mouthClose`` closes the lips of an open jaw, and is never above ``jawOpen``: what is solved is the jaw with lips
    that open, and with lips that stay closed.
    """
    columns = shapes.reshape(len(shapes), -1).copy()
    columns[_CLOSE] += columns[_OPEN]
    curves = np.zeros((len(moved), len(shapes)))
    curves[:, SOLVED] = solve(columns[SOLVED], moved.reshape(len(moved), -1))
    curves[:, _OPEN] = np.minimum(1, curves[:, _OPEN] + curves[:, _CLOSE])
    return curves
