"""What a judge may do at each stage, and how it is stored. Independent of the web.

consent -> headphones -> training, one clip after the other -> blocks, each open until it is finished -> finished
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Literal

import attrs
from sqlalchemy import select
from sqlalchemy.orm import Session

from ..study import Question, Study
from ..tables import Judge, Medium, Task, Vote

Stage = Literal["consent", "headphones", "training", "block", "finished", "withdrawn"]

PLAYED = 0.9
"""Share of a video's length that must have passed since its page was opened before a playback is accepted. It is below
1 because the clocks of browsers and the lengths stated by containers differ by a few hundredths. Our choice."""


Standing = dict[str, dict[Literal["score", "version"], int]]
"""The scores of one task by question, as known to a page."""


class Refusal(Exception):
    """The request is not allowed now; ``status`` is that of HTTP, ``votes`` the :func:`standing` of the task."""

    def __init__(self, status: int, message: str, votes: Standing | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.votes = status, message, votes or {}


def standing(votes: dict[str, Vote]) -> Standing:
    """Votes as plain numbers, which remain valid after the transaction."""
    return {name: {"score": vote.score, "version": vote.changes} for name, vote in votes.items()}


@attrs.frozen(kw_only=True)
class Score:
    """A score as sent by a form."""

    value: int
    version: int | None
    """``changes`` of the vote that the sender knew, None for none: an old request sent again changes nothing."""


def tasks_of(session: Session, judge: Judge) -> Sequence[Task]:
    """All tasks of a judge in order."""
    return session.scalars(select(Task).where(Task.judge_id == judge.id).order_by(Task.position)).all()


def current(tasks: Iterable[Task]) -> Task | None:
    """The first open task; its block is the current one."""
    return next((task for task in tasks if task.closed is None), None)


def stage(judge: Judge, tasks: Iterable[Task]) -> Stage:
    """The stage of a judge."""
    if judge.withdrawn is not None:
        return "withdrawn"
    if judge.consented is None:
        return "consent"
    if judge.heard is None:
        return "headphones"
    task = current(tasks)
    if task is None:
        return "finished"
    return "training" if task.block == 0 else "block"


def votes_of(session: Session, tasks: Iterable[Task]) -> dict[int, dict[str, Vote]]:
    """Votes by task and question; tasks without votes have an empty entry."""
    found: dict[int, dict[str, Vote]] = {task.id: {} for task in tasks}
    for vote in session.scalars(select(Vote).where(Vote.task_id.in_(found))):
        found[vote.task_id][vote.question] = vote
    return found


def open_tasks(session: Session, judge: Judge, tasks: Sequence[Task], questions: Sequence[Question]) -> list[Task]:
    """Tasks that may be opened: those of the current block up to the first with missing scores."""
    first = current(tasks)
    if first is None or stage(judge, tasks) not in ("training", "block"):
        return []
    block = [task for task in tasks if task.block == first.block and task.closed is None]
    votes = votes_of(session, block)
    complete = [len(votes[task.id]) == len(questions) for task in block]
    return block[: next((i for i, done in enumerate(complete) if not done), len(block) - 1) + 1]


def reach(judge: Judge, tasks: Sequence[Task], within: Sequence[Task], position: int) -> Task:
    """The task at ``position`` if it may be opened.

    Raises:
        Refusal: 410 the judge has withdrawn, 404 there is none, 409 its block is closed or its turn has not come.
    """
    if judge.withdrawn is not None:
        raise Refusal(410, "You have withdrawn from this study.")
    if not any(task.position == position for task in tasks):
        raise Refusal(404, "There is no such clip.")
    for task in within:
        if task.position == position:
            return task
    if any(task.position == position and task.closed is not None for task in tasks):
        raise Refusal(409, "This part is finished; its scores can no longer be changed.")
    raise Refusal(409, "This clip's turn has not come yet.")


def play(session: Session, task: Task, now: float) -> None:
    """Record that a task's video was played to its end, if enough time has passed.

    Raises:
        Refusal: 409 less time has passed since its page was opened than the video lasts.
    """
    if task.played is not None:
        return
    medium = session.get_one(Medium, task.medium_id)
    if task.opened is None or now - task.opened < PLAYED * medium.seconds:
        raise Refusal(409, "Please watch the whole clip first, at its normal speed.")
    task.played = now


def score(session: Session, task: Task, scores: dict[str, Score], study: Study, now: float) -> dict[str, Vote]:
    """Store scores of one task, all or none; unchanged scores have no effect. Returns all current votes.

    Raises:
        Refusal: 422 unknown question or score, 409 before the playback, or the sender did not know the vote it changes.
    """
    known = {question.name for question in study.questions}
    for name, given in scores.items():
        if name not in known:
            raise Refusal(422, "There is no such question.")
        if given.value not in study.choices:
            raise Refusal(422, f"A score is a whole number from 1 to {study.choices[-1]}.")
    votes = votes_of(session, [task])[task.id]
    if task.played is None:
        raise Refusal(409, "Please watch the clip to its end first.", standing(votes))
    news = {name: given for name, given in scores.items() if name not in votes or votes[name].score != given.value}
    if any((votes[name].changes if name in votes else None) != given.version for name, given in news.items()):
        raise Refusal(409, "This score was changed elsewhere in the meantime.", standing(votes))
    for name, given in news.items():
        if name in votes:
            vote = votes[name]
            vote.score, vote.changed, vote.changes = given.value, now, vote.changes + 1
        else:
            votes[name] = Vote(task_id=task.id, question=name, score=given.value, given=now, changed=now, changes=0)
            session.add(votes[name])
    session.flush()
    return votes


def finish_training(
    session: Session, judge: Judge, tasks: Sequence[Task], task: Task, questions: Sequence[Question], now: float
) -> None:
    """Close one training clip and, with the last one, the training.

    Raises:
        Refusal: 409 it is not a training clip, or scores are missing.
    """
    if task.block != 0:
        raise Refusal(409, "This is not a practice clip.")
    if incomplete(session, [task], questions):
        raise Refusal(409, "Please answer all questions first.")
    task.closed = now
    if all(each.closed is not None for each in tasks if each.block == 0):
        judge.trained = now


def incomplete(session: Session, tasks: Sequence[Task], questions: Sequence[Question]) -> Task | None:
    """The first task with missing scores."""
    votes = votes_of(session, tasks)
    return next((task for task in tasks if len(votes[task.id]) < len(questions)), None)


def finish_block(
    session: Session, judge: Judge, tasks: Sequence[Task], block: int, questions: Sequence[Question], now: float
) -> None:
    """Close a block permanently; with the last one, the judge has finished and gets a completion code.

    Raises:
        Refusal: 409 it is not the current block, or scores are missing; 410 the judge has withdrawn.
    """
    if judge.withdrawn is not None:
        raise Refusal(410, "You have withdrawn from this study.")
    first = current(tasks)
    if block < 1 or first is None or first.block != block or stage(judge, tasks) != "block":
        raise Refusal(409, "This part is not open.")
    members = [task for task in tasks if task.block == block]
    if incomplete(session, members, questions):
        raise Refusal(409, "Some scores of this part are still missing.")
    for task in members:
        task.closed = now
    if all(task.closed is not None for task in tasks):
        judge.finished = now
        judge.completion_code = judge.completion_code or completion_code()


def completion_code() -> str:
    """Eight unambiguous letters and digits, such as ``7KQM-X2HD``."""
    letters = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
    code = "".join(secrets.choice(letters) for _ in range(8))
    return f"{code[:4]}-{code[4:]}"
