"""The votes that count, as an array: the input of every computation in this package."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from ..votes import RawVote

Scores = NDArray[np.float64]


@attrs.frozen(eq=False, kw_only=True)
class Ratings:
    """Scores of rated clips; without training, gold and trap clips."""

    questions: tuple[str, ...]
    judges: tuple[int, ...]
    systems: tuple[str, ...]
    clips: tuple[str, ...]
    scores: Scores = attrs.field(repr=False)
    """(Q, J, K, N) from 1 to 5; NaN where there is no vote."""

    @classmethod
    def of(cls, votes: Iterable[RawVote], questions: Sequence[str], systems: Sequence[str]) -> Self:
        """The rated ones among ``votes``; questions and systems in the given order, then those that only occur in
        votes.

        Raises:
            ValueError: if a judge answered a question about one clip of one system twice.
        """
        rated = [(vote, vote.system) for vote in votes if vote.kind == "rated" and vote.system is not None]
        judges = tuple(sorted({vote.judge for vote, _ in rated}))
        clips = tuple(sorted({vote.clip for vote, _ in rated}))
        asked = _order(questions, (vote.question for vote, _ in rated))
        made = _order(systems, (system for _, system in rated))
        scores = np.full((len(asked), len(judges), len(made), len(clips)), np.nan)
        places = [{name: place for place, name in enumerate(axis)} for axis in (asked, judges, made, clips)]
        for vote, system in rated:
            keys = (vote.question, vote.judge, system, vote.clip)
            place = tuple(axis[key] for axis, key in zip(places, keys, strict=True))
            if not np.isnan(scores[place]):
                raise ValueError(f"judge {vote.judge} answered {vote.question!r} twice of {vote.clip!r} by {system!r}")
            scores[place] = vote.score
        return cls(questions=asked, judges=judges, systems=made, clips=clips, scores=scores)

    def without(self, judges: Collection[int]) -> Self:
        """These ratings without the votes of ``judges``; systems and clips stay."""
        kept = [place for place, judge in enumerate(self.judges) if judge not in judges]
        return attrs.evolve(self, judges=tuple(self.judges[place] for place in kept), scores=self.scores[:, kept])

    @property
    def count(self) -> int:
        """Number of votes."""
        return int(np.count_nonzero(~np.isnan(self.scores)))


def _order(known: Sequence[str], found: Iterable[str]) -> tuple[str, ...]:
    return (*known, *sorted(set(found) - set(known)))


def mean_over_clips(scores: Scores) -> Scores:
    """Means over the last axis of the available values; NaN if there are none."""
    there = ~np.isnan(scores)
    count = there.sum(axis=-1)
    return np.where(count > 0, np.where(there, scores, 0).sum(axis=-1) / np.maximum(count, 1), np.nan)
