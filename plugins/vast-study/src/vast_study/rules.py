"""What no writer may break, be it a page, a script or a mistake of ours: checked before it is sent to the database.

A score is a whole number from 1 to 5, answers a question of the study, and is given after the first full playback and
before the end of its block; a block ends when every question is answered, and is never opened again. Nothing that was
given is removed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, func, inspect, select
from sqlalchemy.orm import Session, sessionmaker

from vast_core.errors import InputError

from .storage import Judge, Task, Vote
from .study import Study

FOREVER: dict[type, tuple[str, ...]] = {
    Judge: ("number", "row", "link", "invited", "consented", "finished", "withdrawn", "completion_code"),
    Task: ("judge_id", "position", "block", "kind", "medium_id", "opened", "played", "closed"),
    Vote: ("task_id", "question", "given"),
}
"""What stays as it is once it has a value."""


class Refused(InputError):
    """A rule of the study forbids it; nothing was written."""


def watch(sessions: sessionmaker[Session], study: Study) -> None:
    """Hold everything that ``sessions`` write to the rules of ``study``; they raise :class:`Refused`."""
    questions = {question.name for question in study.questions}

    def check(session: Session, *_: object) -> None:
        for row in session.deleted:
            if isinstance(row, tuple(FOREVER)):
                raise Refused(f"{_title(row)} is never removed")
        for row in session.dirty:
            _unchanged(row)
        with session.no_autoflush:
            for row in (*session.new, *session.dirty):
                if isinstance(row, Vote):
                    _check_vote(session, row, questions)
                elif isinstance(row, Task) and row.closed is not None and _was(row, "closed") is None:
                    _check_closing(session, row, questions)

    event.listen(sessions, "before_flush", check)


def _was(row: Any, name: str) -> Any:
    """The value that the database has, None where it has none."""
    history = inspect(row).attrs[name].history
    return next(iter((*history.deleted, *history.unchanged)), None) if not history.added or history.deleted else None


def _unchanged(row: Any) -> None:
    for name in FOREVER.get(type(row), ()):
        history = inspect(row).attrs[name].history
        if history.has_changes() and any(old is not None for old in history.deleted):
            raise Refused(f"{name} of {_title(row)} is {history.deleted[0]!r} and stays so")


def _title(row: Any) -> str:
    return f"{type(row).__name__.lower()} {row.number if isinstance(row, Judge) else row.id}"


def _check_vote(session: Session, vote: Vote, questions: set[str]) -> None:
    if vote.question not in questions:
        raise Refused(f"the study has no question {vote.question!r} (it has {', '.join(sorted(questions))})")
    if type(vote.score) is not int or not 1 <= vote.score <= 5:
        raise Refused(f"a score is a whole number from 1 to 5, not {vote.score!r}")
    # locked where the database locks rows: its block cannot end between this look and the vote
    task = session.get(Task, vote.task_id, with_for_update=True)
    if task is None:
        raise Refused(f"there is no task {vote.task_id}")
    if task.played is None:
        raise Refused(f"task {task.id} has not been played to its end")
    if task.closed is not None:
        raise Refused(f"the block of task {task.id} has ended; its scores can no longer be changed")
    judge = session.get_one(Judge, task.judge_id)
    if judge.withdrawn is not None:
        raise Refused(f"judge {judge.number} has withdrawn")
    if judge.consented is None:
        raise Refused(f"judge {judge.number} has not consented")


def _check_closing(session: Session, task: Task, questions: set[str]) -> None:
    own = [row for row in (*session.new, *session.dirty) if isinstance(row, Vote) and row.task_id == task.id]
    found = set(session.scalars(select(Vote.question).where(Vote.task_id == task.id)))
    if missing := questions - found - {vote.question for vote in own}:
        raise Refused(f"task {task.id} lacks a score in {', '.join(sorted(missing))}; its block cannot end")


def count_votes(session: Session) -> int:
    """How many scores there are, those of training clips too."""
    return session.scalar(select(func.count(Vote.id))) or 0
