"""The web application: routes, middleware, and error pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from . import clip_pages, experimenter_pages, headphones_pages, judge_pages
from .judging import Refusal
from .security import Shield
from .site import Site, refused

STATIC = Path(__file__).parents[1] / "pages" / "static"


async def _no_page(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    words = {404: "There is no such page.", 405: "This page cannot be used in that way."}
    return refused(request, Refusal(error.status_code, words.get(error.status_code, "This request is not understood.")))


async def _failed(request: Request, _error: Exception) -> Response:
    # the traceback only goes to the terminal, by uvicorn
    words = "Something went wrong on our side. All scores that were called saved are safe; please try again."
    return refused(request, Refusal(500, words))


def application(site: Site, hosts: Sequence[str] = ()) -> ASGIApp:
    """The application of one study; with ``hosts``, requests for other hosts are refused."""
    routes = [
        *judge_pages.ROUTES,
        *headphones_pages.ROUTES,
        *clip_pages.ROUTES,
        *experimenter_pages.ROUTES,
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]
    starlette = Starlette(routes=routes, exception_handlers={HTTPException: _no_page, Exception: _failed})
    starlette.state.site = site
    app: ASGIApp = TrustedHostMiddleware(starlette, list(hosts), www_redirect=False) if hosts else starlette
    # outermost, so that error responses also carry the headers
    return Shield(app)
