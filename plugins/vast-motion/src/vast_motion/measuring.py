"""How much of the motion of faces the curves explain: ``python -m vast_motion.measuring PREPARED ...``.

PREPARED is a folder of prepared clips, such as ``~/.cache/vast/prepared/*``. Of every speaker, the first half of the
frames teaches the speaker's own shapes, and the second half is measured: with the general shapes, and with the
speaker's own. Beside them stands what the 52 expression scores of the tracker know of the vertices: a linear regression
without bounds, learned on the same first half.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from vast_core.console import Terminal
from vast_core.errors import InputError
from vast_core.mesh import canonical_face
from vast_core.runs import PreparedClip, Store

from .shapes import general_shapes, own_shapes, solved_curves
from .take import Error

Doubles = NDArray[np.float64]

MOST = 1500
"""Frames of a speaker of which each half is taken at most."""
_SCORES = "coefficients/scores"
RIDGE = 1e-4
"""Penalty per frame of the regression on the scores, which lie in [0, 1]."""


@attrs.frozen(kw_only=True)
class Row:
    """What was measured of one speaker."""

    speaker: str
    frames: int
    general: Error
    own: Error
    varying: float
    """Share of the variance about the mean that the curves explain, with own shapes."""
    scores: float | None
    """Share of the variance about the mean that the scores explain; None if the clips have no scores."""


def measured(store: Store) -> list[Row]:
    """A row for each speaker of the clips. Raises :class:`InputError` if they have another mesh."""
    of: dict[str, list[PreparedClip]] = defaultdict(list)
    for clip in store.clips:
        of[clip.speaker].append(clip)
    return [_row(store, speaker, clips) for speaker, clips in of.items()]


def _row(store: Store, speaker: str, clips: list[PreparedClip]) -> Row:
    moved = np.concatenate([_valid(store, clip, "displacement") for clip in clips])
    if moved.shape[1:] != canonical_face().vertices.shape:
        raise InputError(
            f"{store.path}: its faces have {moved.shape[1]} vertices; the shapes are of the canonical face"
        )
    half = len(moved) // 2
    taught, shown = _thinned(moved[:half]), _thinned(moved[half:])
    general = general_shapes()
    own = own_shapes(taught, general)
    found = {name: _given(shown, shapes) for name, shapes in (("general", general), ("own", own))}
    scores = None
    if all(_has_scores(store, clip) for clip in clips):
        seen = np.concatenate([_valid(store, clip, _SCORES) for clip in clips])
        scores = _share(shown, _regressed(taught, _thinned(seen[:half]), _thinned(seen[half:])))
    return Row(
        speaker=speaker,
        frames=len(shown),
        general=Error.of(shown, found["general"]),
        own=Error.of(shown, found["own"]),
        varying=_share(shown, found["own"]),
        scores=scores,
    )


def _has_scores(store: Store, clip: PreparedClip) -> bool:
    with safe_open(store.path / clip.file, framework="np") as file:
        return _SCORES in file.keys()  # noqa: SIM118 - it is no mapping


def _valid(store: Store, clip: PreparedClip, name: str) -> Doubles:
    rows: Doubles = store.read(clip, name).double().numpy()
    return np.asarray(rows[store.read(clip, "valid").numpy()])


def _thinned(rows: Doubles) -> Doubles:
    return rows[:: max(1, -(-len(rows) // MOST))]


def _given(moved: Doubles, shapes: Doubles) -> Doubles:
    return np.asarray(np.einsum("tk,kvc->tvc", solved_curves(moved, shapes), shapes))


def _share(moved: Doubles, given: Doubles) -> float:
    """Share of the variance of ``moved`` about its mean that ``given`` explains."""
    rest = moved - given
    return float(1 - np.square(rest - rest.mean(0)).sum() / np.square(moved - moved.mean(0)).sum())


def _regressed(moved: Doubles, scores: Doubles, others: Doubles) -> Doubles:
    """Motion (N, V, 3), up to its mean, of other scores (N, 52), as ``moved`` (T, V, 3) follows ``scores`` (T, 52)."""
    x, y = scores - scores.mean(0), (moved - moved.mean(0)).reshape(len(moved), -1)
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
    return np.asarray((others @ weights).reshape(-1, *moved.shape[1:]))


COLUMNS = ["speaker", "frames", "general", "lips", "mm", "own", "lips", "mm", "moves", "varies", "scores"]
"""Of the table: explained in percent, of all vertices and of the lips, and mean distances, with either shapes; how far
a vertex moves on average; the share of the variance that the curves explain with own shapes, and that of the scores."""


def table(rows: list[Row]) -> str:
    """The rows, and their mean, as a table in Markdown; see ``COLUMNS``."""
    lines = [COLUMNS, ["---", *["--:"] * (len(COLUMNS) - 1)]]
    lines += [_cells(row.speaker, [row]) for row in rows]
    lines.append(_cells("mean", rows))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(name: str, rows: list[Row]) -> list[str]:
    def mean(values: list[float], digits: int = 1) -> str:
        return f"{np.mean(values):.{digits}f}" if values else ""

    cells = [name, str(sum(row.frames for row in rows))]
    for errors in ([row.general for row in rows], [row.own for row in rows]):
        cells.append(mean([100 * error.explained for error in errors]))
        cells.append(mean([100 * error.lips for error in errors]))
        cells.append(mean([error.millimetres for error in errors], 2))
    cells.append(mean([row.own.motion for row in rows], 2))
    cells.append(mean([100 * row.varying for row in rows]))
    return [*cells, mean([100 * row.scores for row in rows if row.scores is not None])]


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m vast_motion.measuring", description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path, nargs="+", help="folders of prepared clips")
    arguments = parser.parse_args()
    console = Terminal()
    for folder in arguments.prepared:
        console.print(f"{folder.name}: motion explained, %; distances, mm")
        console.print(table(measured(Store(folder))), soft_wrap=True)


if __name__ == "__main__":
    main()
