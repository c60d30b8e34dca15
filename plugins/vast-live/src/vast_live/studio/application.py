"""The web application of the studio: its page, and what the page may ask."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from vast_core.errors import VastError
from vast_core.files import read_results

from ..answers import refused, wrong
from ..server import PAGE as LIVE_PAGE
from ..shield import Shield
from .findings import VERSION as FINDINGS_VERSION
from .findings import Findings
from .guard import Guard
from .project import MAKING, Kind, Place, Project
from .receiving import StudioLimits, receive
from .shelf import Deleted, Shelf
from .speaking import Speaking
from .workshop import Workshop

__all__ = ["studio"]

PAGE = Path(__file__).with_name("page")
PICTURE = re.compile(r"(look|quick|train)-[a-z0-9-]{1,40}\.jpg")


def studio(shelf: Shelf, workshop: Workshop, speaking: Speaking, limits: StudioLimits, *, local: bool) -> ASGIApp:
    """The application; ``local`` if only this machine is meant to reach it. It starts and stops the workshop."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        workshop.start()
        yield
        await run_in_threadpool(workshop.stop)
        speaking.close()
        shelf.close()

    handlers: Any = {VastError: wrong, HTTPException: refused, KeyError: _missing}
    desk = Desk(shelf, workshop, speaking, limits)
    inner = Starlette(routes=desk.routes, exception_handlers=handlers)
    routes = [Mount("/speak/{id}", app=speaking), Mount("/", app=Shield(inner, limits.bytes))]
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan), local=local)


class Desk:
    """Answers what the page asks."""

    def __init__(self, shelf: Shelf, workshop: Workshop, speaking: Speaking, limits: StudioLimits) -> None:
        self._shelf, self._workshop, self._speaking, self._limits = shelf, workshop, speaking, limits

    @property
    def routes(self) -> Sequence[Route | Mount]:
        """All addresses."""
        one = "/projects/{id}"
        return [
            Route("/", self._page),
            Route("/projects", self._list),
            Route("/projects", self._receive, methods=["POST"]),
            Route(one, self._one),
            Route(one, partial(self._delete, clip_alone=False), methods=["DELETE"]),
            Route(f"{one}/clip", partial(self._delete, clip_alone=True), methods=["DELETE"]),
            Route(f"{one}/make/{{kind}}", self._make, methods=["POST"]),
            Route(f"{one}/stop", self._stop, methods=["POST"]),
            Route(f"{one}/pictures/{{name}}", self._picture),
            Route(f"{one}/sample/{{kind}}", self._sample),
            Mount("/static/live", StaticFiles(directory=LIVE_PAGE / "static")),
            Mount("/static", StaticFiles(directory=PAGE / "static")),
        ]

    async def _page(self, _: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    async def _list(self, _: Request) -> Response:
        known = await run_in_threadpool(lambda: [self._described(project) for project in self._shelf])
        limits = {**attrs.asdict(self._limits)}
        return JSONResponse({"projects": known, "limits": limits})

    async def _one(self, request: Request) -> Response:
        return await self._answer(self._project(request))

    async def _receive(self, request: Request) -> Response:
        return await self._answer(await receive(request, self._shelf, self._limits), 201)

    async def _make(self, request: Request) -> Response:
        project, kind = self._project(request), _kind(request, ("look", *MAKING))
        findings = _findings(self._shelf.place(project))
        if project.clip is not None and kind != "look" and (findings is None or not findings.usable):
            raise HTTPException(409, "no avatar can be made of this clip")
        return await self._answer(await run_in_threadpool(self._workshop.ask, project, kind), 202)

    async def _stop(self, request: Request) -> Response:
        project = self._project(request)
        await run_in_threadpool(self._workshop.give_up, project, MAKING)
        return await self._answer(self._shelf.get(project.id))

    async def _delete(self, request: Request, clip_alone: bool) -> Response:
        project = self._project(request)
        await run_in_threadpool(self._workshop.give_up, project, ("look", *MAKING))
        if clip_alone:
            gone = await run_in_threadpool(self._shelf.delete_clip, project)
        else:
            gone = await run_in_threadpool(self._shelf.delete, project)
            await run_in_threadpool(self._speaking.forget, project)  # it waits for an avatar that is loaded just now
        return JSONResponse({"deleted": _listed(gone)})

    async def _picture(self, request: Request) -> Response:
        place, name = self._shelf.place(self._project(request)), request.path_params["name"]
        if not PICTURE.fullmatch(name):
            raise KeyError(name)
        return _file(place.pictures / name)

    async def _sample(self, request: Request) -> Response:
        folder = self._shelf.place(self._project(request)).run(_kind(request)) / "samples"
        return _file(next(iter(sorted(folder.glob("*.mp4"))), folder / "none"))

    def _project(self, request: Request) -> Project:
        return self._shelf.get(request.path_params["id"])

    async def _answer(self, project: Project, status: int = 200) -> Response:
        return JSONResponse(await run_in_threadpool(self._described, project), status)

    def _described(self, project: Project) -> dict[str, Any]:
        """All that the page shows of a project."""
        place = self._shelf.place(project)
        works = {}
        for kind, work in project.works.items():
            works[kind] = {**attrs.asdict(work)}
            if work.state == "running":
                works[kind]["progress"] = _progress(place.progress(kind), work.asked)
            if work.state == "waiting":
                works[kind]["ahead"] = self._shelf.ahead(kind, work)
        looked = project.works["look"].state not in ("waiting", "running")
        findings = _findings(place) if looked else None
        return {
            "id": project.id,
            "name": project.name,
            "added": project.added,
            "clip": project.clip is not None,
            "works": works,
            "findings": [] if findings is None else [attrs.asdict(finding) for finding in findings.findings],
            "usable": findings is not None and findings.usable,
            "tracked": [] if findings is None or project.clip is None else findings.pictures,
            "frames": [path.name for kind in MAKING for path in sorted(place.pictures.glob(f"{kind}-*.jpg"))],
            "speaks": project.speaks,
        }


# ------------------------------------------------------------------------------------------------------- answers


async def _missing(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "this is not there any more"}, 404)


def _file(path: Path) -> Response:
    if not path.is_file():
        raise KeyError(path.name)
    return FileResponse(path)


def _kind(request: Request, known: Sequence[Kind] = MAKING) -> Kind:
    kind = request.path_params["kind"]
    if kind not in known:
        raise HTTPException(404, f"there is no such work; there is {', '.join(known)}")
    return known[known.index(kind)]


def _findings(place: Place) -> Findings | None:
    if not place.findings.is_file():
        return None
    return read_results(place.findings, Findings, FINDINGS_VERSION, "vast serve --studio")


def _progress(path: Path, asked: float) -> dict[str, Any]:
    """How far the work is; nothing if it has not said so since it was asked for."""
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if known.get("at", 0) >= asked else {}


def _listed(gone: Iterable[Deleted]) -> list[dict[str, Any]]:
    return [attrs.asdict(item) for item in gone]
