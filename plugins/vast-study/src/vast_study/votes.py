"""Raw votes, one row per judge, clip and question: the input of all analyses and exports."""

from __future__ import annotations

import attrs
from sqlalchemy import select
from sqlalchemy.orm import Session

from .study import Study
from .tables import Judge, Medium, Task, Vote


@attrs.frozen(kw_only=True)
class RawVote:
    """One score, with all its context."""

    judge: int
    """Number of the judge."""
    kind: str
    """One of :data:`vast_study.study.TaskKind`; training is exported, but never analysed."""
    system: str | None
    """The system, or in a preference test the pair."""
    left: str | None = None
    """In a preference test, the system on the left."""
    clip: str
    question: str
    score: int
    block: int
    position: int
    seconds: float
    """Length of the video in seconds."""
    latency: float
    """Seconds from the end of the first playback to the first score."""
    changes: int
    expected: tuple[int, int] | None
    """Lowest and highest correct score, for gold and trap clips."""


def raw_votes(session: Session, study: Study, *, withdrawn: bool = False) -> list[RawVote]:
    """All scores by judge, position and question in the study's order; of judges who withdrew only if requested."""
    query = (
        select(Judge.number, Task, Medium, Vote)
        .join(Task, Task.judge_id == Judge.id)
        .join(Medium, Medium.id == Task.medium_id)
        .join(Vote, Vote.task_id == Task.id)
        .order_by(Judge.number, Task.position)
    )
    if not withdrawn:
        query = query.where(Judge.withdrawn.is_(None))
    places = {question.name: place for place, question in enumerate(study.questions)}
    rows = [
        RawVote(
            judge=number,
            kind=task.kind,
            system=medium.system,
            left=medium.left,
            clip=medium.clip,
            question=vote.question,
            score=vote.score,
            block=task.block,
            position=task.position,
            seconds=medium.seconds,
            latency=vote.given - (vote.given if task.played is None else task.played),
            changes=vote.changes,
            expected=(known[0], known[1]) if (known := medium.expected.get(vote.question)) else None,
        )
        for number, task, medium, vote in session.execute(query)
    ]
    return sorted(rows, key=lambda row: (row.judge, row.position, places.get(row.question, len(places))))
