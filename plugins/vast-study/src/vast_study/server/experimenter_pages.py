"""The experimenter's pages, behind a token: progress, personal links, the join page, the raw votes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..enrolment import enrol, replace_link
from ..export import votes_csv
from ..storage import keep_fact
from ..tables import Judge, Medium, Task, Vote
from ..votes import raw_votes
from .judge_pages import is_open, places
from .judging import Refusal
from .security import form_token, is_session, matches, open_session
from .site import VISITOR, Form, Site, endpoint, site_of
from .visit import caller

EXPERIMENTER = "experimenter"
"""Cookie of a signed session."""

INVITATIONS = 200
"""Maximum personal links made at once."""


@attrs.frozen(kw_only=True)
class Desk:
    """One request of the experimenter."""

    site: Site
    request: Request
    form: Form
    session: Session
    cookie: str

    def page(self, template: str, **content: Any) -> Response:
        """A page for the experimenter."""
        return self.site.page(self.request, template, csrf=form_token(self.site.key, self.cookie), **content)


def _known(site: Site, request: Request) -> bool:
    cookie = request.cookies.get(EXPERIMENTER, "")
    if is_session(site.key, site.experimenter, cookie, site.clock()):
        return True
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    _check_token(site, request, token)
    return True


def _check_token(site: Site, request: Request, token: str) -> None:
    site.check_guesses(caller(request), "Too many wrong tokens came from here. Please try again in ten minutes.")
    if not matches(token.strip(), site.experimenter):
        site.count_guess(caller(request))
        raise Refusal(403, "This is not the token of this study.")


def for_experimenter(view: Callable[[Desk], Response]) -> Callable[[Request, Form], Response]:
    """Admit the experimenter, and redirect everyone else to the login page."""

    @functools.wraps(view)
    def answer(request: Request, form: Form) -> Response:
        site = site_of(request)
        if not _known(site, request):
            if request.method == "POST":
                raise Refusal(401, "Your session is over. Please give the token again.")
            return site.visitor_page(request, "login.html.j2", 401)
        cookie = request.cookies.get(EXPERIMENTER, "")
        if request.method == "POST":
            site.check_form(request, form, cookie)
        with site.storage.session() if request.method == "POST" else site.storage.reading() as session:
            return view(Desk(site=site, request=request, form=form, session=session, cookie=cookie))

    return answer


def login(request: Request, form: Form) -> Response:
    """Check the token and start a session."""
    site = site_of(request)
    site.check_form(request, form, request.cookies.get(VISITOR, ""))
    _check_token(site, request, form.get("token", ""))
    response = site.to(request, "progress")
    session = open_session(site.key, site.experimenter, site.clock())
    site.set_cookie(request, response, EXPERIMENTER, session, samesite="strict")
    return response


@for_experimenter
def logout(desk: Desk) -> Response:
    """End the session in this browser."""
    response = desk.site.to(desk.request, "progress")
    desk.site.drop_cookie(desk.request, response, EXPERIMENTER)
    return response


@attrs.frozen(kw_only=True)
class Progress:
    """Progress of one judge."""

    number: int
    state: str
    done: int
    total: int
    votes: int
    minutes: float | None
    """Minutes from consent to the last score, pauses included."""


def progress_of(session: Session, questions: int) -> list[Progress]:
    """All judges in order of their numbers."""
    rated = select(Task.judge_id, func.count()).where(Task.block > 0).group_by(Task.judge_id)
    totals = {row[0]: row[1] for row in session.execute(rated)}
    given = (
        select(Task.judge_id, func.count(), func.max(Vote.changed))
        .join(Vote)
        .where(Task.block > 0)
        .group_by(Task.judge_id)
    )
    votes = {judge: (count, last) for judge, count, last in session.execute(given.group_by(Task.judge_id))}
    rows = []
    for judge in session.scalars(select(Judge).order_by(Judge.number)):
        count, last = votes.get(judge.id, (0, None))
        end = judge.finished or last
        rows.append(
            Progress(
                number=judge.number,
                state=state_of(judge, count),
                done=count // questions,
                total=totals.get(judge.id, 0),
                votes=count,
                minutes=None if judge.consented is None or end is None else max(0.0, end - judge.consented) / 60,
            )
        )
    return rows


def state_of(judge: Judge, votes: int) -> str:
    """The state of a judge, in a word or two."""
    if judge.withdrawn is not None:
        return "declined" if judge.consented is None else "withdrawn"
    if judge.finished is not None:
        return "finished"
    if judge.consented is None:
        return "invited"
    if judge.heard is None:
        return "headphones check"
    return "rating" if votes or judge.trained is not None else "practice"


@for_experimenter
def progress(desk: Desk) -> Response:
    """Progress of all judges. Without means: they would tempt to stop the study at a convenient moment."""
    return progress_page(desk)


def progress_page(desk: Desk, links: tuple[str, ...] = (), replaced: int | None = None) -> Response:
    """The experimenter's page; ``links`` are shown only this once, one that is ``replaced`` with the judge's number."""
    session, study = desk.session, desk.site.study
    counts = dict(
        session.execute(
            select(Medium.system, func.count(Vote.id))
            .join(Task, Task.medium_id == Medium.id)
            .join(Judge, Judge.id == Task.judge_id)
            .join(Vote, Vote.task_id == Task.id)
            .where(Medium.kind == "rated", Judge.withdrawn.is_(None))
            .group_by(Medium.system)
        ).all()
    )
    rows = progress_of(session, len(study.questions))
    return desk.page(
        "progress.html.j2",
        rows=rows,
        finished=sum(row.state == "finished" for row in rows),
        votes=sum(row.votes for row in rows),
        systems={name: counts.get(name, 0) for name in study.shown},
        join=absolute(desk, "welcome"),
        open=is_open(session),
        places=places(session, study),
        links=links,
        replaced=replaced,
    )


def absolute(desk: Desk, name: str, /, **parts: Any) -> str:
    """An absolute address, to be sent to someone."""
    url = desk.request.url
    return f"{url.scheme}://{url.netloc}{desk.site.address(desk.request, name, **parts)}"


@for_experimenter
def invitations(desk: Desk) -> Response:
    """Make personal links; they are shown once and not stored."""
    text = desk.form.get("count", "")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= INVITATIONS):
        raise Refusal(422, f"Between 1 and {INVITATIONS} links can be made at once.")
    made = [enrol(desk.session, desk.site.study)[1] for _ in range(int(text))]
    return progress_page(desk, tuple(absolute(desk, "enter", link=link) for link in made))


@for_experimenter
def replacement(desk: Desk) -> Response:
    """Replace the lost link of a judge; the old one is void, and every vote stays."""
    text = desk.form.get("judge", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
    link = replace_link(desk.session, number)
    if link is None:
        raise Refusal(422, "There is no such judge, or the judge has withdrawn.")
    return progress_page(desk, (absolute(desk, "enter", link=link),), replaced=number)


@for_experimenter
def joining(desk: Desk) -> Response:
    """Open or close the join page."""
    wish = desk.form.get("join")
    if wish not in ("open", "closed"):
        raise Refusal(422, "The join page is open or closed.")
    keep_fact(desk.session, "join", wish)
    return desk.site.to(desk.request, "progress")


@for_experimenter
def votes(desk: Desk) -> Response:
    """The same table as written by ``vast study export``."""
    headers = {"Content-Disposition": 'attachment; filename="votes.csv"'}
    return Response(
        votes_csv(raw_votes(desk.session, desk.site.study)), media_type="text/csv; charset=utf-8", headers=headers
    )


ROUTES = [
    Route("/experimenter", endpoint(progress), name="progress"),
    Route("/experimenter/login", endpoint(login), methods=["POST"], name="login"),
    Route("/experimenter/logout", endpoint(logout), methods=["POST"], name="logout"),
    Route("/experimenter/links", endpoint(invitations), methods=["POST"], name="invitations"),
    Route("/experimenter/replace", endpoint(replacement), methods=["POST"], name="replacement"),
    Route("/experimenter/join", endpoint(joining), methods=["POST"], name="joining"),
    Route("/experimenter/votes.csv", endpoint(votes), name="votes"),
]
