"""Judges and their links: whoever takes part gets a number, a row of the plan and the tasks of that row."""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import time

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .design import order
from .preparation import planned
from .study import Study
from .tables import Fact, Judge, Task

LINK = re.compile(r"[0-9a-f]{32}")
"""What a personal link ends in: 128 random bits."""


def fingerprint(secret: str) -> str:
    """SHA-256 of a link or token of 128 random bits: nothing is gained by salting or slowing it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def enrol(session: Session, study: Study) -> tuple[Judge, str]:
    """A new judge with all its tasks, and the end of its personal link, which is kept nowhere.

    More may enrol than ``study.judges``, as not everyone who is invited comes; rows of the plan that nobody has, or
    that someone withdrew from, are given first. Raises :class:`vast_study.rules.Refused` where no media were prepared.
    """
    session.get(Fact, "plan", with_for_update=True)  # two at once take turns, also where rows are locked, not tables
    media = planned(session, study)
    taken = set(session.scalars(select(Judge.row).where(Judge.withdrawn.is_(None))))
    row = next(row for row in itertools.count() if row not in taken)
    link = secrets.token_hex(16)
    number = (session.scalar(select(func.max(Judge.number))) or 0) + 1
    judge = Judge(number=number, row=row, link=fingerprint(link), invited=time.time())
    session.add(judge)
    session.flush()
    for position, place in enumerate(order(media.plan, row)):
        medium = media.of(place)
        session.add(Task(judge_id=judge.id, position=position, block=place.block, kind=place.kind, medium_id=medium.id))
    session.flush()
    return judge, link


def judge_of(session: Session, link: str) -> Judge | None:
    """Whose personal link ends so; None where it is nobody's, or no link at all."""
    if not LINK.fullmatch(link):
        return None
    return session.scalar(select(Judge).where(Judge.link == fingerprint(link)))
