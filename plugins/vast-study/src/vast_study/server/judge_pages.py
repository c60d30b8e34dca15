"""Entry and exit: the join page, the personal link, consent, withdrawal."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import enrolment
from ..storage import fact
from ..study import Study
from ..tables import Judge
from . import judging
from .judging import Refusal
from .security import form_token
from .site import VISITOR, Form, Site, endpoint, site_of
from .visit import JUDGE, Visit, caller, for_judge, judge_of


def is_open(session: Session) -> bool:
    """Whether the join page is open."""
    return fact(session, "join") != "closed"


def places(session: Session, study: Study) -> int:
    """How many more judges the study needs, not counting invited judges who have not come yet."""
    query = select(func.count()).where(Judge.consented.is_not(None), Judge.withdrawn.is_(None))
    return max(0, study.judges - (session.scalar(query) or 0))


def may_join(site: Site, session: Session) -> bool:
    """Whether the join page admits another person."""
    return is_open(session) and places(session, site.study) > 0


def welcome(request: Request, _form: Form) -> Response:
    """The join page."""
    site = site_of(request)
    with site.storage.reading() as session:
        return site.page(
            request, "join.html.j2", known=judge_of(session, request) is not None, open=may_join(site, session)
        )


def enter(request: Request, _form: Form) -> Response:
    """The personal link: exchanged for a cookie at once, so that it is in no further address."""
    site, link = site_of(request), request.path_params["link"]
    site.check_guesses(caller(request), "Too many wrong links came from here. Please try again in ten minutes.")
    with site.storage.reading() as session:
        known = enrolment.judge_of(session, link) is not None
    if not known:
        site.count_guess(caller(request))
        raise Refusal(404, "This link belongs to no one. Please check that you have copied all of it.")
    response = site.to(request, "home")
    site.set_cookie(request, response, JUDGE, link, days=180)
    return response


def consent(request: Request, form: Form) -> Response:
    """Ask for consent; nothing is stored before about people who come by the join page."""
    site = site_of(request)
    posted = request.method == "POST"
    with site.storage.session() if posted else site.storage.reading() as session:
        found = judge_of(session, request)
        if found and (found[0].withdrawn is not None or found[0].consented is not None):
            return site.to(request, "home")
        if not posted:
            if found:
                return site.page(request, "consent.html.j2", csrf=form_token(site.key, found[1]))
            if not may_join(site, session):
                return site.to(request, "welcome")
            return site.visitor_page(request, "consent.html.j2")
        site.check_form(request, form, found[1] if found else request.cookies.get(VISITOR, ""))
        answer, now = form.get("answer"), site.clock()
        if answer not in ("agree", "decline"):
            raise Refusal(422, "Please agree or decline.")
        if answer == "decline":
            if found:
                found[0].withdrawn = now  # frees the place for someone else
            response: Response = site.message(
                request,
                "Thank you all the same",
                "You do not take part, and nothing was kept of you.",
                "You can close this page.",
            )
            site.drop_cookie(request, response, JUDGE)
            return response
        judge, link = found or _enrol(site, request, session)
        judge.consented = now
        response = site.to(request, "link")
        site.set_cookie(request, response, JUDGE, link, days=180)
        return response


def _enrol(site: Site, request: Request, session: Session) -> tuple[Judge, str]:
    now = site.clock()
    if site.joins.reached(session, site.key, caller(request), now):
        raise Refusal(429, "Too many people have begun from here just now. Please try again in ten minutes.")
    if not may_join(site, session):
        raise Refusal(403, "This study takes no new judges at the moment.")
    site.joins.count(session, site.key, caller(request), now)
    return enrolment.enrol(session, site.study)


@for_judge
def home(visit: Visit) -> Response:
    """Redirect judges to their current place."""
    stage = judging.stage(visit.judge, visit.tasks)
    if stage in ("training", "block"):
        within = visit.within
        if within[0].block and not judging.incomplete(visit.session, visit.block, visit.site.study.questions):
            return visit.to("review")
        return visit.to("clip", position=within[-1].position + 1)
    return visit.to({"finished": "thanks"}.get(stage, stage))


@for_judge
def link(visit: Visit) -> Response:
    """Show the personal link, which only the judge's own browser knows."""
    personal = f"{visit.request.url.scheme}://{visit.request.url.netloc}{visit.address('enter', link=visit.link)}"
    return visit.page("link.html.j2", personal=personal)


@for_judge
def withdraw(visit: Visit) -> Response:
    """Mark a judge as withdrawn, after a confirmation."""
    if visit.judge.withdrawn is not None:
        return visit.to("withdrawn")
    if visit.request.method == "GET":
        return visit.page("withdraw.html.j2")
    visit.judge.withdrawn = visit.now
    return visit.to("withdrawn")


@for_judge
def withdrawn(visit: Visit) -> Response:
    """Confirm that a judge has withdrawn."""
    if visit.judge.withdrawn is None:
        return visit.to("home")
    return visit.site.message(
        visit.request,
        "You have withdrawn",
        "Your scores are marked as withdrawn and do not count. Thank you for the time you gave.",
        f"Questions? {visit.site.study.contact}",
    )


ROUTES = [
    Route("/", endpoint(welcome), name="welcome"),
    Route("/j/{link}", endpoint(enter), name="enter"),
    Route("/go", endpoint(home), name="home"),
    Route("/consent", endpoint(consent), methods=["GET", "POST"], name="consent"),
    Route("/link", endpoint(link), name="link"),
    Route("/withdraw", endpoint(withdraw), methods=["GET", "POST"], name="withdraw"),
    Route("/withdrawn", endpoint(withdrawn), name="withdrawn"),
]
