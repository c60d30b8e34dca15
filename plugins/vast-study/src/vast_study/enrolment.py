"""Judges and their links: each participant gets a number, a row of the plan and the tasks of that row."""

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
"""The last part of a personal link: 128 random bits."""


def fingerprint(secret: str) -> str:
    """SHA-256 of a link or token of 128 random bits, which needs no salt or slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def enrol(session: Session, study: Study) -> tuple[Judge, str]:
    """A new judge with all tasks, and the last part of the personal link, which is not stored.

    More judges may enrol than ``study.judges``, because not everyone who is invited comes; rows of the plan without a
    judge, or whose judge withdrew, are assigned first. Raises :class:`vast_study.rules.Refused` if no media were
    prepared.
    """
    session.get(
        Fact, "plan", with_for_update=True
    )  # serialises concurrent enrolments, even if rows are locked, not tables
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


def replace_link(session: Session, number: int) -> str | None:
    """A new personal link for the judge with this number, whose old one is void; all votes stay.

    None if there is no such judge, or the judge has withdrawn.
    """
    judge = session.scalar(select(Judge).where(Judge.number == number).with_for_update())
    if judge is None or judge.withdrawn is not None:
        return None
    link = secrets.token_hex(16)
    judge.link, judge.links = fingerprint(link), judge.links + 1
    session.flush()
    return link


def judge_of(session: Session, link: str) -> Judge | None:
    """The judge with this personal link; None if there is none, or it is not a link."""
    if not LINK.fullmatch(link):
        return None
    return session.scalar(select(Judge).where(Judge.link == fingerprint(link)))
