"""The live pages of finished avatars, each loaded when somebody opens it."""

from __future__ import annotations

import threading
from collections import OrderedDict

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vast_core.errors import VastError
from vast_core.registry import Registry

from ..limits import Limits
from ..server import application
from ..serving import load_avatar
from ..site import Site
from .project import Kind, Project
from .shelf import Shelf

__all__ = ["Speaking"]

LOADED = 2
"""Avatars that are kept in memory; a gigabyte each."""


@attrs.frozen
class _Loaded:
    kind: Kind
    finished: float
    site: Site
    app: ASGIApp


class Speaking:
    """``/{id}/...``: the live application of the best avatar of a project."""

    def __init__(self, shelf: Shelf, limits: Limits, registry: Registry, look_ahead: float) -> None:
        self._shelf, self._limits = shelf, limits
        self._options = (look_ahead, registry)
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._loading = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for one avatar."""
        try:
            project = self._shelf.get(scope["path_params"]["id"])
            app = await run_in_threadpool(self._app, project)
        except (KeyError, VastError) as error:
            words = str(error) if isinstance(error, VastError) else "there is no such avatar"
            if scope["type"] == "websocket":
                await WebSocketClose(4404, words)(scope, receive, send)
                return
            raise HTTPException(404, words) from error
        await app(scope, receive, send)

    def forget(self, project: Project) -> None:
        """Free the avatar of a project. Call it after the deletion, so that nobody loads the avatar again."""
        with self._loading:
            if (loaded := self._loaded.pop(project.id, None)) is not None:
                loaded.site.styles.close()

    def close(self) -> None:
        """Free all avatars."""
        for number in list(self._loaded):
            self._loaded.pop(number).site.styles.close()

    def _app(self, project: Project) -> ASGIApp:
        with self._loading:
            project = self._shelf.get(project.id)  # it may have been deleted meanwhile
            kind = project.speaks
            if kind is None:
                raise KeyError(project.id)
            known = self._loaded.get(project.id)
            if known is None or (known.kind, known.finished) != (kind, project.works[kind].asked):
                run = self._shelf.place(project).run(kind)
                site = Site(load_avatar(run, *self._options), self._limits)
                self._loaded[project.id] = _Loaded(kind, project.works[kind].asked, site, application(site))
            self._loaded.move_to_end(project.id)
            idle = [number for number, own in self._loaded.items() if not own.site.clients and number != project.id]
            while len(self._loaded) > LOADED and idle:
                self._loaded.pop(idle.pop(0)).site.styles.close()
            return self._loaded[project.id].app
