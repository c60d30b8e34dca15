"""Simulated votes with known truth: to test the analysis, and to plan the number of judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from ..votes import RawVote
from .attendance import Attendance


@attrs.frozen(kw_only=True)
class Truth:
    """Model of the votes: ``score = round(quality + judge + clip + judge x system + clip x system + rest)``, 1 to 5.

    All terms but the quality are normally distributed, with these standard deviations in points.
    """

    quality: Mapping[str, Sequence[float]]
    """For each system, one value per question."""
    judge: float = 0.35
    clip: float = 0.25
    judge_system: float = 0.15
    clip_system: float = 0.15
    rest: float = 0.65

    def expected(self, system: str, question: int) -> float:
        """Mean score over infinitely many judges and clips: the quality after rounding and clipping to the scale."""
        spread = np.sqrt(
            sum(each**2 for each in (self.judge, self.clip, self.judge_system, self.clip_system, self.rest))
        )
        away = np.random.default_rng(0).normal(self.quality[system][question], spread, 1_000_000)
        return float(np.clip(np.round(away), 1, 5).mean())


@attrs.frozen(kw_only=True)
class Room:
    """Number of judges, and careless ones among them."""

    judges: int = 15
    clips: int = 10
    questions: Sequence[str] = ("sync", "expressiveness", "naturalness")
    traps: int = 2
    """Number of clips that say which score to give."""
    straight: Sequence[int] = ()
    """Numbers of the judges who always give 3, except for traps, which they pass."""
    random: Sequence[int] = ()
    """Numbers of the judges who give random scores, also for traps."""


def simulate(truth: Truth, room: Room, seed: int) -> tuple[list[RawVote], list[Attendance]]:
    """All votes of a study in which everyone rates everything, and the attendance."""
    rng = np.random.default_rng(seed)
    systems, questions = list(truth.quality), range(len(room.questions))
    quality = np.array([[truth.quality[system][question] for system in systems] for question in questions], float)
    shape = (len(room.questions), room.judges, len(systems), room.clips)
    scores = np.broadcast_to(quality[:, None, :, None], shape).copy()
    scores += rng.normal(0, truth.judge, (shape[0], shape[1], 1, 1))
    scores += rng.normal(0, truth.clip, (shape[0], 1, 1, shape[3]))
    scores += rng.normal(0, truth.judge_system, (*shape[:3], 1))
    scores += rng.normal(0, truth.clip_system, (shape[0], 1, *shape[2:]))
    scores += rng.normal(0, truth.rest, shape)
    scores = np.clip(np.round(scores), 1, 5)
    for judge in room.straight:
        scores[:, judge - 1] = 3
    for judge in room.random:
        scores[:, judge - 1] = rng.integers(1, 6, scores[:, judge - 1].shape)
    votes = [
        vote for judge in range(1, room.judges + 1) for vote in _votes(scores[:, judge - 1], systems, room, judge, rng)
    ]
    asked = len(room.questions) * len(systems) * room.clips
    return votes, [
        Attendance(judge=judge, state="finished", asked=asked, minutes=float(rng.uniform(20, 45)))
        for judge in range(1, room.judges + 1)
    ]


def _votes(
    scores: np.ndarray, systems: Sequence[str], room: Room, judge: int, rng: np.random.Generator
) -> Iterator[RawVote]:
    """Votes of one judge, from scores (Q, K, N)."""
    places = [(k, n) for k in range(len(systems)) for n in range(room.clips)]
    for position, place in enumerate(rng.permutation(len(places)).tolist()):
        k, n = places[place]
        for question, score in zip(room.questions, scores[:, k, n].tolist(), strict=True):
            yield _vote(judge, position, question, int(score), rng, system=systems[k], clip=f"clip{n + 1:02}")
    for trap in range(room.traps):
        right = 2 + trap % 2 * 2
        for question in room.questions:
            score = int(rng.integers(1, 6)) if judge in room.random else right
            yield _vote(judge, len(places) + trap, question, score, rng, clip=f"trap{trap + 1}", right=right)


def _vote(
    judge: int,
    position: int,
    question: str,
    score: int,
    rng: np.random.Generator,
    *,
    clip: str,
    system: str | None = None,
    right: int | None = None,
) -> RawVote:
    return RawVote(
        judge=judge,
        kind="rated" if right is None else "trap",
        system=system,
        clip=clip,
        question=question,
        score=score,
        block=1 + position // 10,
        position=position,
        seconds=6.0,
        latency=float(rng.gamma(4, 1.5)),
        changes=0,
        expected=None if right is None else (right, right),
    )
