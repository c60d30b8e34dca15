"""Whether measures agree with people: rank correlation of each with the votes, over systems and over single videos.

Evaluations are the folders that ``vast eval`` writes; only its file ``eval.json`` is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vast_core.errors import InputError

from .ratings import Ratings

FILE = "eval.json"
RESAMPLES, SEED = 1000, 1
FEWEST_SYSTEMS, FEWEST_VIDEOS, FEWEST_CLIPS = 3, 5, 5
"""Fewest systems and videos that are correlated, and fewest clips for an interval."""

Doubles = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Measured:
    """What an evaluation says of one system."""

    digest: str
    protocol: str
    better: Mapping[str, str]
    """Direction of each measure."""
    overall: Mapping[str, float]
    clips: Mapping[str, Mapping[str, float]]
    """Values by clip and measure."""

    @classmethod
    def read(cls, folder: Path) -> Measured:
        """The evaluation in a folder; raises InputError if there is none."""
        path = folder / FILE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                digest=str(found["digest"]),
                protocol=str(found["protocol"]),
                better={name: str(own["better"]) for name, own in found["measures"].items()},
                overall={name: float(own["value"]) for name, own in found["overall"].items()},
                clips={
                    str(clip["name"]): {name: float(value) for name, value in clip["values"].items()}
                    for clip in found["clips"]
                },
            )
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); name a folder that `vast eval` wrote"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a result of `vast eval` ({type(error).__name__}: {error})") from error


@attrs.frozen(kw_only=True)
class Correlation:
    """Spearman's rho of a measure and a question: positive if what the measure calls better is rated better."""

    question: str
    measure: str
    better: str
    """Its direction; one that is neither is correlated as it is, so its sign says which way people like it."""
    systems: int
    over_systems: float | None
    """Of the systems' means; None with fewer than three, or if one side does not vary."""
    videos: int
    over_videos: float | None
    """Of the single videos' means over judges; None if the measure has none for single videos."""
    low: float | None
    high: float | None
    """95 % of resamples of clips, each with all systems."""


def correlate(ratings: Ratings, measured: Mapping[str, Measured]) -> list[Correlation]:
    """Every measure with every question, over the systems that have both; the best agreement first.

    Raises:
        InputError: if the evaluations have different protocols, or there is nothing to correlate.
    """
    systems = [name for name in ratings.systems if name in measured]
    if len({measured[name].digest for name in systems}) > 1:
        shown = ", ".join(f"{name} {measured[name].protocol} {measured[name].digest[:12]}" for name in systems)
        raise InputError(f"the evaluations have different protocols ({shown}); measure all systems with one")
    names = {name: None for system in systems for name in measured[system].better}
    rows = [
        _correlation(ratings, number, systems, measured, name)
        for number in range(len(ratings.questions))
        for name in names
    ]
    found = [row for row in rows if row.over_systems is not None or row.over_videos is not None]
    if not found:
        raise InputError(
            "nothing to correlate: at least 3 systems, or 5 videos whose names are those of the study's clips, need "
            "both votes and values"
        )
    order = {question: place for place, question in enumerate(ratings.questions)}
    return sorted(found, key=lambda row: (order[row.question], -_strength(row)))


def _strength(row: Correlation) -> float:
    known = row.over_videos if row.over_videos is not None else row.over_systems
    return known if known is not None else -math.inf


def _correlation(
    ratings: Ratings, number: int, systems: list[str], measured: Mapping[str, Measured], name: str
) -> Correlation:
    better = next(measured[system].better[name] for system in systems if name in measured[system].better)
    places = [ratings.systems.index(system) for system in systems]
    votes = _mean(ratings.scores[number][:, places])  # (K, N)
    values = _signed(
        np.array(
            [[measured[system].clips.get(clip, {}).get(name, math.nan) for clip in ratings.clips] for system in systems]
        ),
        better,
    )
    overall = _signed(np.array([measured[system].overall.get(name, math.nan) for system in systems]), better)
    means = _mean(votes.T)
    known = ~np.isnan(overall) & ~np.isnan(means)
    both = ~np.isnan(values) & ~np.isnan(votes)
    low, high = _interval(values, votes, both)
    return Correlation(
        question=ratings.questions[number],
        measure=name,
        better=better,
        systems=int(known.sum()),
        over_systems=spearman(overall[known], means[known]) if known.sum() >= FEWEST_SYSTEMS else None,
        videos=int(both.sum()),
        over_videos=spearman(values[both], votes[both]) if both.sum() >= FEWEST_VIDEOS else None,
        low=low,
        high=high,
    )


def spearman(one: Doubles, other: Doubles) -> float | None:
    """Spearman's rho of two samples (N,); None if one does not vary."""
    ranks = [stats.rankdata(side) for side in (one, other)]
    if any(np.ptp(side) == 0 for side in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _interval(values: Doubles, votes: Doubles, both: NDArray[np.bool_]) -> tuple[float, float] | tuple[None, None]:
    """The interval over clips of arrays (K, N)."""
    clips = np.flatnonzero(both.any(0))
    if len(clips) < FEWEST_CLIPS or both.sum() < FEWEST_VIDEOS:
        return None, None
    draw = np.random.default_rng(SEED)
    found = []
    for _ in range(RESAMPLES):
        chosen = clips[draw.integers(len(clips), size=len(clips))]
        there = both[:, chosen]
        rho = spearman(values[:, chosen][there], votes[:, chosen][there])
        found += [] if rho is None else [rho]
    if len(found) < RESAMPLES / 2:
        return None, None
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _signed(values: Doubles, better: str) -> Doubles:
    """Values of which more is better, as far as that is known."""
    return {"lower": -values, "closer to 0": -np.abs(values)}.get(better, values)


def _mean(values: Doubles) -> Doubles:
    """Mean over the first axis of what is known; NaN if nothing is."""
    there = ~np.isnan(values)
    count = there.sum(0)
    return np.where(count > 0, np.where(there, values, 0).sum(0) / np.maximum(count, 1), np.nan)
