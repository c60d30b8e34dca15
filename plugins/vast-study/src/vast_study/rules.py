"""Rules that no page, script or bug may break: checked before anything is sent to the database.

A score is an integer from 1 to 5, or in a preference test 1 or 2, answers a question of the study, and is given after
the first full playback and before the end of its block; a block ends when every question is answered, and is never
opened again. Nothing that was given is removed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker

from vast_core.errors import InputError

from .study import Study
from .tables import Judge, Task, Vote

FOREVER: dict[type, tuple[str, ...]] = {
    Judge: ("number", "row", "invited", "consented", "finished", "withdrawn", "completion_code"),
    Task: ("judge_id", "position", "block", "kind", "medium_id", "opened", "played", "closed"),
    Vote: ("task_id", "question", "given"),
}
"""Columns that must not change once they have a value."""


class Refused(InputError):
    """A rule of the study was broken; nothing was written."""


def watch(sessions: sessionmaker[Session], study: Study) -> None:
    """Check everything that ``sessions`` write against the rules of ``study``; violations raise :class:`Refused`."""
    questions, choices = {question.name for question in study.questions}, study.choices

    def check(session: Session, *_: object) -> None:
        with session.no_autoflush:
            for row in session.deleted:
                if type(row) in FOREVER:
                    raise Refused(f"{_title(row)} must not be removed")
            for row in session.dirty:
                _check_unchanged(session, row)
                if isinstance(row, Judge):
                    _check_link(row)
            for row in (*session.new, *session.dirty):
                if isinstance(row, Vote):
                    _check_vote(session, row, questions, choices)
                elif isinstance(row, Task) and row.closed is not None and inspect(row).attrs.closed.history.added:
                    _check_closing(session, row, questions)

    def check_statement(state: ORMExecuteState) -> None:
        if not state.is_select and state.bind_mapper is not None and state.bind_mapper.class_ in FOREVER:
            raise Refused("judges, tasks and votes must be written one by one, so that they are checked")

    event.listen(sessions, "before_flush", check)
    event.listen(sessions, "do_orm_execute", check_statement)


def _check_unchanged(session: Session, row: Any) -> None:
    for name in FOREVER.get(type(row), ()):
        history = inspect(row).attrs[name].history
        if not history.has_changes():
            continue
        before = history.deleted[0] if history.deleted else None
        if not history.deleted:  # set without having been read
            before = session.scalar(select(getattr(type(row), name)).where(type(row).id == row.id))
        if before is not None and before != getattr(row, name):
            raise Refused(f"{name} of {_title(row)} is {before!r} and must not change")


def _title(row: Any) -> str:
    return f"{type(row).__name__.lower()} {row.number if isinstance(row, Judge) else row.id}"


def _check_link(judge: Judge) -> None:
    link, links = (inspect(judge).attrs[name].history for name in ("link", "links"))
    counted = [before + 1 for before in links.deleted or ()] == list(links.added or ())
    if link.has_changes() != links.has_changes() or not counted:
        raise Refused(f"the link of {_title(judge)} must only change by being replaced")


def _check_vote(session: Session, vote: Vote, questions: set[str], choices: tuple[int, ...]) -> None:
    if vote.question not in questions:
        raise Refused(f"the study has no question {vote.question!r} (it has {', '.join(sorted(questions))})")
    if type(vote.score) is not int or vote.score not in choices:
        raise Refused(f"a score must be an integer from {choices[0]} to {choices[-1]}, not {vote.score!r}")
    # locks the row where the database can, so that its block cannot end between this check and the vote
    query = (
        select(Task.id, Task.played, Task.closed, Judge.number, Judge.consented, Judge.withdrawn)
        .join(Judge, Judge.id == Task.judge_id)
        .where(Task.id == vote.task_id)
        .with_for_update(of=Task)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        raise Refused(f"there is no task {vote.task_id}")
    if found.played is None and session.get_one(Task, found.id).played is None:  # may be about to be written as well
        raise Refused(f"task {found.id} has not been played to its end")
    if found.closed is not None:
        raise Refused(f"the block of task {found.id} has ended; its scores can no longer be changed")
    if found.withdrawn is not None:
        raise Refused(f"judge {found.number} has withdrawn")
    if found.consented is None:
        raise Refused(f"judge {found.number} has not consented")


def _check_closing(session: Session, task: Task, questions: set[str]) -> None:
    own = [row for row in (*session.new, *session.dirty) if isinstance(row, Vote) and row.task_id == task.id]
    found = set(session.scalars(select(Vote.question).where(Vote.task_id == task.id)))
    if missing := questions - found - {vote.question for vote in own}:
        raise Refused(f"task {task.id} lacks a score in {', '.join(sorted(missing))}; its block cannot end")
