"""Statistics over seeds: differences from the base cell, and paired tests.

The seed is the unit: a replication repeats the training, so a mean over clips is one observation, and two cells are
paired by seed. Clips of one training are not independent; treating them as observations would find winners in noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import get_args

import attrs
from scipy import stats

from vast_core.report import Estimate, Evidence, estimate, evidence_of, holm

from .results import Better


@attrs.frozen
class Comparison:
    """A cell compared with the base cell in one measure, over their common seeds."""

    difference: Estimate
    """Cell minus base, of the measure or, if closer to 0 is better, of its absolute value."""
    p: float | None
    """Student's paired t test, two-sided; None below two common seeds, or if the difference does not vary."""
    adjusted: float | None
    """``p`` with Holm's correction over the cells compared in this measure."""
    verdict: Evidence
    """``better`` or ``worse`` (``different`` if the measure has no direction) only if ``adjusted`` is below 0.05."""


def compare(
    base: Mapping[int, float], cells: Mapping[str, Mapping[int, float]], better: Better
) -> dict[str, Comparison]:
    """Each of ``cells`` compared with ``base``, all in one measure by seed; cells without a common seed are omitted.

    Holm's correction is over the cells that are tested here: a family is one measure.

    Raises:
        ValueError: if ``better`` is not a direction.
    """
    if better not in get_args(Better):
        raise ValueError(f"better is {better!r}; it must be one of {', '.join(get_args(Better))}")
    differences = {name: _differences(base, own, better) for name, own in cells.items()}
    differences = {name: values for name, values in differences.items() if values}
    tested = {name: p for name, values in differences.items() if (p := _paired_p(values)) is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {
        name: Comparison(
            difference=(found := estimate(values)),
            p=tested.get(name),
            adjusted=adjusted.get(name),
            verdict=evidence_of(found.mean, adjusted.get(name), better),
        )
        for name, values in differences.items()
    }


def _differences(base: Mapping[int, float], cell: Mapping[int, float], better: Better) -> list[float]:
    size = abs if better == "closer to 0" else float
    return [size(cell[seed]) - size(base[seed]) for seed in sorted(base.keys() & cell.keys())]


def _paired_p(differences: Sequence[float]) -> float | None:
    """A one-sample t test of the differences; 1 if they are all 0, None if they are all equal but not 0."""
    if len(differences) < 2:
        return None
    largest = max(map(abs, differences))
    if largest == 0:
        return 1.0
    # rounding errors must not count as variation, which would make any difference significant
    if max(differences) - min(differences) <= 1e-9 * largest:
        return None
    p = float(stats.ttest_1samp(differences, 0).pvalue)
    return p if math.isfinite(p) else None
