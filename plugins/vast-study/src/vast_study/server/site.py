"""One running study: what every page needs, and how requests are answered."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import attrs
import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from vast_core.errors import StorageError

from ..rules import Refused
from ..storage import Storage
from ..study import Study
from .judging import Refusal
from .limits import Limit
from .security import form_token, fresh_secret, is_form_token

LOG = logging.getLogger(__name__)

VISITOR = "visitor"
"""Cookie of unidentified visitors, so that the forms of the first pages have a token, too."""

Form = Mapping[str, str]
"""The fields of a submitted form."""


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@attrs.frozen(kw_only=True)
class Site:
    """A study that is being served."""

    study: Study
    storage: Storage
    key: str
    """The study's own secret, which signs the tokens of forms and the experimenter's sessions."""
    experimenter: str
    """Fingerprint of the experimenter's token."""
    secure: bool = False
    """Whether cookies are for https only, even if this server itself is reached by http behind a proxy."""
    joins: Limit = attrs.field(factory=lambda: Limit("joins", 60, 600))
    """Limit of new judges by the join page from one address: enough for a class room, not for a script."""
    guesses: Limit = attrs.field(factory=lambda: Limit("guesses", 20, 600))
    """Limit of wrong links and tokens from one address."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    templates: jinja2.Environment = attrs.field(factory=_templates)

    def check_guesses(self, address: str, message: str) -> None:
        """Refuse an address from which too many wrong links or tokens came.

        Raises:
            Refusal: 429 with a message.
        """
        with self.storage.reading() as session:
            if self.guesses.reached(session, self.key, address, self.clock()):
                raise Refusal(429, message)

    def count_guess(self, address: str) -> None:
        """Count a wrong link or token of an address."""
        with self.storage.session() as session:
            self.guesses.count(session, self.key, address, self.clock())

    def address(self, request: Request, name: str, /, **parts: Any) -> str:
        """Path of a page, with the proxy's prefix if there is one; without a host, which a proxy may get wrong."""
        root: str = request.scope.get("root_path", "")
        return root + str(request.app.url_path_for(name, **parts))

    def page(self, request: Request, template: str, status: int = 200, **content: Any) -> HTMLResponse:
        """A rendered page."""
        address = functools.partial(self.address, request)
        html = self.templates.get_template(template).render(study=self.study, address=address, **content)
        return HTMLResponse(html, status)

    def message(
        self,
        request: Request,
        heading: str,
        *paragraphs: str,
        status: int = 200,
        onward: tuple[str, str] | None = None,
    ) -> HTMLResponse:
        """A page that only has text; ``onward`` is the address and the label of its button."""
        return self.page(request, "message.html.j2", status, heading=heading, paragraphs=paragraphs, onward=onward)

    def to(self, request: Request, name: str, /, **parts: Any) -> RedirectResponse:
        """A redirect to another page, by GET."""
        return RedirectResponse(self.address(request, name, **parts), 303)

    def set_cookie(
        self,
        request: Request,
        response: Response,
        name: str,
        value: str,
        *,
        samesite: Literal["lax", "strict"] = "lax",
        days: int | None = None,
    ) -> None:
        """Set a cookie that scripts cannot read and other sites do not send; without ``days`` it ends with the
        browser."""
        secure = self.secure or request.url.scheme == "https"
        path = request.scope.get("root_path", "") or "/"
        age = None if days is None else days * 24 * 3600
        response.set_cookie(name, value, age, path=path, secure=secure, httponly=True, samesite=samesite)

    def drop_cookie(self, request: Request, response: Response, name: str) -> None:
        """Delete a cookie."""
        response.delete_cookie(name, path=request.scope.get("root_path", "") or "/", httponly=True)

    def check_form(self, request: Request, form: Form, session: str) -> None:
        """Refuse a form that was not sent by this session's own page.

        Raises:
            Refusal: 403.
        """
        # browsers state which site sent a form; for older ones the token alone decides
        sender = request.headers.get("sec-fetch-site", "same-origin")
        token = form.get("csrf", "")
        genuine = is_form_token(self.key, session, token)
        if sender not in ("same-origin", "none") or not genuine:
            raise Refusal(403, "This page is out of date. Please load it again.")

    def visitor_page(self, request: Request, template: str, status: int = 200, **content: Any) -> Response:
        """A page with a form for an unidentified visitor."""
        visitor = request.cookies.get(VISITOR) or fresh_secret()
        response = self.page(request, template, status, csrf=form_token(self.key, visitor), **content)
        self.set_cookie(request, response, VISITOR, visitor)
        return response


def site_of(request: Request) -> Site:
    """The site of a request."""
    site: Site = request.app.state.site
    return site


def wants_json(request: Request) -> bool:
    """Whether a script sent the request, rather than a person."""
    return request.headers.get("accept", "") == "application/json"


def refused(request: Request, refusal: Refusal) -> Response:
    """A refusal as page or JSON."""
    if wants_json(request):
        return JSONResponse({"error": refusal.message, "votes": refusal.votes}, refusal.status)
    site = site_of(request)
    headings = {401: "Who are you?", 404: "Not found", 410: "You have withdrawn", 429: "Too many attempts"}
    heading = headings.get(refusal.status, "That did not work")
    onward = (site.address(request, "home"), "Go to the study")
    response = site.message(request, heading, refusal.message, status=refusal.status, onward=onward)
    if refusal.status == 429:
        response.headers["Retry-After"] = "600"
    return response


async def read_form(request: Request) -> Form:
    """The fields of a form; only the plain encoding is accepted, and each field may occur once.

    Raises:
        Refusal: 415 or 422.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(415, "This is not a form of this study.")
    try:
        fields = parse_qsl((await request.body()).decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:  # also UnicodeDecodeError
        raise Refusal(422, "This form cannot be read.") from error
    if len({name for name, _ in fields}) != len(fields):
        raise Refusal(422, "A field of this form is given twice.")
    return dict(fields)


def endpoint(view: Callable[[Request, Form], Response]) -> Callable[[Request], Awaitable[Response]]:
    """A view, which may wait for the database, as a route: in a thread, with its form read and refusals answered."""

    @functools.wraps(view)
    async def answer(request: Request) -> Response:
        try:
            form = await read_form(request) if request.method == "POST" else {}
            return await run_in_threadpool(view, request, form)
        except Refusal as refusal:
            return await run_in_threadpool(refused, request, refusal)
        except Refused as broken:
            # the rules of the study refuse what the pages let through; their messages are for engineers
            LOG.warning("refused: %s", broken)
            return await run_in_threadpool(refused, request, Refusal(409, "This is not possible now."))
        except StorageError as error:
            LOG.error("%s", error)
            words = "We cannot save anything at the moment. Please try again in a minute."
            return await run_in_threadpool(refused, request, Refusal(503, words))

    # a plain function, so that Starlette does not take it for an ASGI application
    return answer
