"""A known judge during one request."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from .. import enrolment
from ..tables import Judge, Task
from . import judging
from .judging import Refusal
from .security import form_token, neighbourhood
from .site import Form, Site, site_of

JUDGE = "judge"
"""Cookie with the secret of the personal link, which is stored only in the judge's browser."""


@attrs.frozen(kw_only=True)
class Visit:
    """One request of a known judge."""

    site: Site
    request: Request
    form: Form
    session: Session
    judge: Judge
    link: str
    now: float
    tasks: Sequence[Task]

    @property
    def csrf(self) -> str:
        """Token for this judge's forms."""
        return form_token(self.site.key, self.link)

    @property
    def within(self) -> list[Task]:
        """Tasks that may be opened."""
        return judging.open_tasks(self.session, self.judge, self.tasks, self.site.study.questions)

    def to(self, name: str, /, **parts: Any) -> Response:
        """A redirect to another page."""
        return self.site.to(self.request, name, **parts)

    def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """A page for this judge."""
        return self.site.page(self.request, template, status, csrf=self.csrf, **content)

    def address(self, name: str, /, **parts: Any) -> str:
        """Path of a page."""
        return self.site.address(self.request, name, **parts)

    @property
    def block(self) -> list[Task]:
        """All tasks of the current block."""
        first = judging.current(self.tasks)
        return [task for task in self.tasks if first is not None and task.block == first.block]

    def task(self) -> Task:
        """The task named by the address, if it may be opened."""
        return judging.reach(self.judge, self.tasks, self.within, self.request.path_params["position"] - 1)


def judge_of(session: Session, request: Request) -> tuple[Judge, str] | None:
    """The judge named by the cookie, and the last part of the personal link."""
    link = request.cookies.get(JUDGE, "")
    judge = enrolment.judge_of(session, link)
    return (judge, link) if judge else None


def for_judge(view: Callable[[Visit], Response]) -> Callable[[Request, Form], Response]:
    """Find the judge, check the form, and respond after the view's changes have been committed to disk."""

    @functools.wraps(view)
    def answer(request: Request, form: Form) -> Response:
        site = site_of(request)
        with site.storage.session() if request.method == "POST" else site.storage.reading() as session:
            found = judge_of(session, request)
            if not found:
                raise Refusal(401, "Please open your personal link, the one that you were asked to keep.")
            judge, link = found
            if request.method == "POST":
                site.check_form(request, form, link)
            tasks = judging.tasks_of(session, judge)
            visit = Visit(
                site=site,
                request=request,
                form=form,
                session=session,
                judge=judge,
                link=link,
                now=site.clock(),
                tasks=tasks,
            )
            return view(visit)

    return answer


def caller(request: Request) -> str:
    """The address that limits count by."""
    return neighbourhood(request.client.host if request.client else "")
