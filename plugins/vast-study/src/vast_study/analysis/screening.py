"""Screening of judges: what only raises a flag, and what excludes a judge from the main results.

A judge is left out for signs of inattention (traps, straight-lining, too few scores) and for scores that no judge of
the same clips would give (BT.500). What may have good reasons is only flagged: disagreement with gold clips, because
exclusion would bias the results toward the experimenter's expectations; fast answers; equal answers to all questions.
Results of all judges are given beside those of the remaining judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import attrs
import numpy as np

from ..votes import RawVote
from .attendance import Attendance, State
from .bt500 import FarOff, far_off
from .ratings import Ratings

Screen = Literal[
    "headphones", "incomplete", "straight-lining", "traps", "gold", "too fast", "all questions alike", "BT.500"
]


@attrs.frozen(kw_only=True)
class Limits:
    """Thresholds at which a judge is flagged or left out; all but those of BT.500 are our choice."""

    done: float = 0.5
    """Share of requested scores, in [0, 1], below which a judge is left out; below 1 it is flagged."""
    straight: float = 0.9
    """Share of equal scores, in [0, 1], from which a judge is left out."""
    traps: float = 0.5
    """Share of failed trap clips, in [0, 1], from which a judge is left out; a single failure is flagged."""
    gold: float = 0.5
    """Share of gold clips outside their range, in [0, 1], from which a judge is flagged."""
    seconds: float = 0.5
    """Median over clips of the seconds per question from the end of the video to the last answer, below which a judge
    is flagged."""
    alike: float = 0.95
    """Share of clips with equal scores in all questions, in [0, 1], from which a judge is flagged."""
    fewest: int = 12
    """Number of scores below which straight-lining and equal answers are not tested."""


@attrs.frozen
class Finding:
    """A finding about a judge."""

    screen: Screen
    rejects: bool
    reason: str
    """The reason in words, with its figures."""


@attrs.frozen(kw_only=True)
class Screened:
    """One judge, and why its votes count or not."""

    judge: int
    state: State
    votes: int
    """Number of scores of rated clips."""
    asked: int
    minutes: float | None
    commonest: float | None
    """Share of the most frequent score; None without votes, as below."""
    entropy: float | None
    """Entropy of the scores in bits: 0 for a single value, 2.32 for all five equally often."""
    traps: tuple[int, int]
    """Failed, and seen."""
    gold: tuple[int, int]
    """Outside the range, and seen."""
    seconds: float | None
    """Median over clips of the seconds from the end of the video to the last answer."""
    agreement: float | None
    """Pearson's correlation of its scores with the means of all other judges for the same clip and question."""
    off: FarOff | None
    """Outliers by BT.500; None if another screen left the judge out before, or nothing could be counted."""
    findings: tuple[Finding, ...]

    @property
    def rejected(self) -> bool:
        """Whether any finding excludes the judge."""
        return any(finding.rejects for finding in self.findings)


def screen(
    votes: Iterable[RawVote], attendance: Sequence[Attendance], ratings: Ratings, limits: Limits | None = None
) -> tuple[Screened, ...]:
    """All judges in the order of ``attendance``.

    BT.500 is applied once, as it requires, to the judges whom no other screen left out, so that careless judges do not
    hide others by widening the spread of scores.
    """
    limits = limits or Limits()
    own: dict[int, list[RawVote]] = {each.judge: [] for each in attendance}
    for vote in votes:
        own.setdefault(vote.judge, []).append(vote)
    agreement = _agreement(ratings)
    first = [_look(each, own[each.judge], agreement.get(each.judge), limits) for each in attendance]
    left = ratings.without({each.judge for each in first if each.rejected})
    counted = {}
    if left.judges:  # otherwise everyone was left out already
        presentations = left.scores.transpose(1, 0, 2, 3).reshape(len(left.judges), -1)
        counted = dict(zip(left.judges, far_off(presentations), strict=True))
    return tuple(_count(each, counted.get(each.judge)) for each in first)


def screen_inattention(
    votes: Iterable[RawVote], attendance: Sequence[Attendance], limits: Limits | None = None
) -> tuple[Screened, ...]:
    """All judges, by their own answers alone: choices have no mean from which a judge could be far."""
    limits = limits or Limits()
    own: dict[int, list[RawVote]] = {each.judge: [] for each in attendance}
    for vote in votes:
        own.setdefault(vote.judge, []).append(vote)
    return tuple(_look(each, own[each.judge], None, limits) for each in attendance)


def _look(judge: Attendance, votes: Sequence[RawVote], agreement: float | None, limits: Limits) -> Screened:
    rated = [vote for vote in votes if vote.kind == "rated"]
    scores = Counter(vote.score for vote in rated)
    shares = np.array(list(scores.values()), float) / max(1, len(rated))
    by_clip: dict[int, list[RawVote]] = {}
    for vote in rated:
        by_clip.setdefault(vote.position, []).append(vote)
    seconds = [max(vote.latency for vote in own) / len(own) for own in by_clip.values()]
    last = [max(vote.latency for vote in own) for own in by_clip.values()]
    several = [own for own in by_clip.values() if len(own) > 1]
    alike = sum(len({vote.score for vote in own}) == 1 for own in several)
    traps, gold = _failed(votes, "trap"), _failed(votes, "gold")

    findings: list[Finding] = []
    if not judge.headphones:
        findings.append(Finding("headphones", False, "went on without headphones"))
    if 0 < len(rated) < judge.asked:
        few = len(rated) < limits.done * judge.asked
        findings.append(Finding("incomplete", few, f"{len(rated)} of {judge.asked} scores given"))
    enough = len(rated) >= limits.fewest
    if enough and shares.max() >= limits.straight:
        score, count = scores.most_common(1)[0]
        findings.append(Finding("straight-lining", True, f"{count} of {len(rated)} scores are {score}"))
    elif enough and several and alike >= limits.alike * len(several):
        reason = f"equal scores in all questions for {alike} of {len(several)} clips"
        findings.append(Finding("all questions alike", False, reason))
    if traps[0]:
        reject = traps[0] >= limits.traps * traps[1]
        findings.append(Finding("traps", reject, f"{traps[0]} of {traps[1]} trap clips failed"))
    if gold[0] and gold[0] >= limits.gold * gold[1]:
        findings.append(Finding("gold", False, f"{gold[0]} of {gold[1]} gold clips judged outside their range"))
    if seconds and float(np.median(seconds)) < limits.seconds:
        reason = (
            f"median of {float(np.median(seconds)):.1f} s per question from the end of the video to the last answer"
        )
        findings.append(Finding("too fast", False, reason))
    return Screened(
        judge=judge.judge,
        state=judge.state,
        votes=len(rated),
        asked=judge.asked,
        minutes=judge.minutes,
        commonest=float(shares.max()) if rated else None,
        entropy=float(-(shares * np.log2(shares)).sum()) + 0.0 if rated else None,
        traps=traps,
        gold=gold,
        seconds=float(np.median(last)) if last else None,
        agreement=agreement,
        off=None,
        findings=tuple(findings),
    )


def _failed(votes: Iterable[RawVote], kind: str) -> tuple[int, int]:
    """Number of clips of a kind with an answer out of range, and of all clips of the kind with a known answer."""
    clips: dict[int, bool] = {}
    for vote in votes:
        if vote.kind == kind and vote.expected is not None:
            low, high = vote.expected
            clips[vote.position] = clips.get(vote.position, False) or not low <= vote.score <= high
    return sum(clips.values()), len(clips)


def _count(judge: Screened, off: FarOff | None) -> Screened:
    if off is None or off.scores == 0:
        return judge
    found = judge.findings
    if off.rejected:
        reason = (
            f"far above the others {off.high} times and far below {off.low} times in {off.scores} scores"
            f", {100 * off.share:.0f} % where 5 % on both sides are too many"
        )
        found = (*found, Finding("BT.500", True, reason))
    return attrs.evolve(judge, off=off, findings=found)


def _agreement(ratings: Ratings) -> dict[int, float]:
    """Each judge's correlation with the mean of the others; judges without variance, or without others, have none."""
    scores = ratings.scores.transpose(1, 0, 2, 3).reshape(len(ratings.judges), -1)
    there = ~np.isnan(scores)
    known = np.where(there, scores, 0)
    found: dict[int, float] = {}
    for place, judge in enumerate(ratings.judges):
        others = (there.sum(axis=0) - there[place]).astype(float)
        both = there[place] & (others > 0)
        own = scores[place, both]
        mean = (known.sum(axis=0) - known[place])[both] / others[both]
        if own.size > 2 and own.std() > 0 and mean.std() > 0:
            found[judge] = float(np.corrcoef(own, mean)[0, 1])
    return found
