"""Two systems on the same clips: how far apart they are on average, and whether chance would do as much.

The test flips signs (Fisher 1935): if neither system is better, each difference might as well have stood the other way
round, and p is the share of all such worlds whose mean difference is as large. It asks for the mean, which is what the
interval is of and what the tables print, and not for normal differences, as Student's would, nor for ranks, as
Wilcoxon's. Speakers flip as a whole where there are enough of them, as they are drawn for the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.statistics import CONFIDENCE, holm

from .bootstrap import interval, units

Better = Literal["lower", "higher", "closer to 0", "neither"]
Verdict = Literal["better", "worse", "different", "no evidence", "too few"]

RESAMPLES = 10_000
SEED = 1
FEWEST = 6
"""Clips, or speakers, from which on p can be at most 0.05: of n signs it is 2 / 2^n at least."""
EXACT = 13
"""Up to so many signs all of their 2^n worlds are counted; of more, ``RESAMPLES`` are drawn."""


@attrs.frozen(kw_only=True)
class Difference:
    """A system less the first one; of absolute values where closer to 0 is better."""

    mean: float
    low: float | None
    high: float | None
    """Bootstrap, 95 %, not corrected for several systems; None of a single clip."""
    p: float | None
    """By flipped signs; None where there are too few clips for it ever to be 0.05."""
    adjusted: float | None
    """After Holm, over the systems in this measure."""
    verdict: Verdict
    clips: Mapping[str, float]
    """What it is the mean of."""


def differences(
    base: Mapping[str, float],
    others: Mapping[str, Mapping[str, float]],
    speakers: Mapping[str, str],
    better: Better,
) -> dict[str, Difference]:
    """Each system's difference from ``base``; values and ``speakers`` by clip, all of the same clips.

    Raises:
        ValueError: where a system has other clips than ``base``, or there is none.
    """
    clips = list(base)
    size = np.abs if better == "closer to 0" else np.asarray
    who = [speakers[clip] for clip in clips]
    apart: dict[str, NDArray[np.float64]] = {}
    for system, own in others.items():
        if not clips or set(own) != set(clips):
            raise ValueError(f"{system}: has {len(own)} clips to pair with {len(clips)}, which are not the same")
        ours, theirs = (np.array([values[clip] for clip in clips], float) for values in (own, base))
        apart[system] = size(ours) - size(theirs)
    enough = len(units(who)) >= FEWEST
    chances = [flipped_signs(values, who) for values in apart.values()] if enough else []
    adjusted = dict(zip(apart, zip(chances, holm(chances), strict=True), strict=False))
    return {
        system: _difference(dict(zip(clips, values.tolist(), strict=True)), who, adjusted.get(system), better)
        for system, values in apart.items()
    }


def flipped_signs(values: Sequence[float] | NDArray[np.float64], speakers: Sequence[str]) -> float:
    """Two-sided p of the mean of paired differences, by flipping their signs: of speakers, where they are many.

    Of all worlds up to 2^13, else of 10 000 drawn ones, of which the one that is seen counts as another.
    """
    sample = np.asarray(values, float)
    sums = np.array([sample[places].sum() for places in units(speakers)])
    if len(sums) <= EXACT:
        worlds = np.array(list(product((-1.0, 1.0), repeat=len(sums))))
    else:
        worlds = np.random.default_rng(SEED).choice((-1.0, 1.0), (RESAMPLES, len(sums)))
        worlds[0] = 1.0
    found = abs(sums.sum())
    return float(np.mean(np.abs(worlds @ sums) >= found - 1e-9 * np.abs(sums).sum()))


def _difference(
    clips: Mapping[str, float], speakers: Sequence[str], chance: tuple[float, float] | None, better: Better
) -> Difference:
    values = list(clips.values())
    mean = float(np.mean(values))
    several = len(units(speakers)) > 1
    low, high = interval(values, speakers, RESAMPLES, SEED) if several else (None, None)
    p, adjusted = chance if chance is not None else (None, None)
    return Difference(
        mean=mean, low=low, high=high, p=p, adjusted=adjusted, verdict=_verdict(mean, adjusted, better), clips=clips
    )


def _verdict(mean: float, adjusted: float | None, better: Better) -> Verdict:
    if adjusted is None:
        return "too few"
    if adjusted > 1 - CONFIDENCE + 1e-12:
        return "no evidence"
    if better == "neither":
        return "different"
    return "better" if (mean > 0) == (better == "higher") else "worse"
