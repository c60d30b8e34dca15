"""Attendance: who was invited, came and finished, which votes alone do not show."""

from __future__ import annotations

from typing import Literal

import attrs
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..study import Study
from ..tables import Judge, Task

State = Literal["invited", "started", "finished", "withdrawn"]


@attrs.frozen(kw_only=True)
class Attendance:
    """Attendance of one judge."""

    judge: int
    """Number of the judge."""
    state: State
    asked: int
    """Scores of rated clips that the judge was asked for."""
    headphones: bool = True
    """False for a judge who continued without them."""
    minutes: float | None = None
    """Minutes from consent to the end, pauses included; None if the judge did not finish."""


def attendance(session: Session, study: Study) -> list[Attendance]:
    """All judges by number."""
    tasks = select(Task.judge_id, func.count()).where(Task.kind == "rated").group_by(Task.judge_id)
    rated = {judge: int(count) for judge, count in session.execute(tasks)}
    return [
        Attendance(
            judge=judge.number,
            state=_state(judge),
            asked=rated.get(judge.id, 0) * len(study.questions),
            headphones=judge.headphones is not False,
            minutes=_minutes(judge),
        )
        for judge in session.scalars(select(Judge).order_by(Judge.number))
    ]


def _state(judge: Judge) -> State:
    if judge.withdrawn is not None:
        return "withdrawn"
    if judge.finished is not None:
        return "finished"
    return "invited" if judge.consented is None else "started"


def _minutes(judge: Judge) -> float | None:
    if judge.finished is None or judge.consented is None:
        return None
    return (judge.finished - judge.consented) / 60
