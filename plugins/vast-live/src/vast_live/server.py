"""The web application: its addresses, and requests for videos."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from vast_core.api import Avatar, Stream
from vast_core.errors import VastError
from vast_core.interfaces import SAMPLE_RATE
from vast_core.media import read_wave

from .answers import refused, wrong
from .fragments import FragmentWriter
from .openapi import described
from .saying import say
from .shield import Shield
from .site import Busy, Site
from .styles import Choice
from .visit import live

__all__ = ["application"]

PAGE = Path(__file__).with_name("page")


def application(site: Site) -> ASGIApp:
    """The application that serves one avatar, at any address below which it is mounted."""
    routes = [
        Route("/", _page("index.html")),
        Route("/docs", _page("docs.html")),
        Route("/avatar", _avatar),
        Route("/openapi.json", _openapi),
        Route("/speak", _speak, methods=["POST"]),
        Route("/style", _style, methods=["POST"]),
        WebSocketRoute("/live", live),
        Mount("/static", StaticFiles(directory=PAGE / "static")),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        site.styles.close()

    handlers: Any = {VastError: wrong, Busy: _busy, HTTPException: refused}
    starlette = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    starlette.state.site = site
    return Shield(starlette, site.limits.bytes)


# ------------------------------------------------------------------------------------------------------- answers


def _page(name: str) -> Any:
    async def page(_: Request) -> Response:
        return FileResponse(PAGE / name)

    return page


async def _avatar(request: Request) -> Response:
    """What the page must know of the avatar."""
    site: Site = request.app.state.site
    avatar = site.avatar
    factors = {name: {"low": f.low, "high": f.high} for name, f in avatar.factors.items()}
    return JSONResponse(
        {
            "name": avatar.name,
            "fps": avatar.fps,
            "size": list(avatar.size),
            "latency": avatar.latency,
            "styles": sorted(avatar.styles),
            "factors": factors,
            "limits": {
                "megabytes": site.limits.megabytes,
                "seconds": site.limits.sound,
                "clients": site.limits.clients,
            },
        }
    )


async def _openapi(request: Request) -> Response:
    return JSONResponse(described(request.app.state.site.avatar.name, str(request.base_url)))


async def _busy(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "all places are taken; try again later"}, 503, {"Retry-After": "10"})


# ------------------------------------------------------------------------------------------------------ requests


async def _style(request: Request) -> Response:
    """Read the style of a clip, for use by name."""
    site: Site = request.app.state.site
    async with site.place(), request.form() as form, _stored(form.get("clip"), "clip") as path:
        name, style = await run_in_threadpool(site.styles.read, path)
    notes = [note.removeprefix(f"{path}: ") for note in style.notes]
    return JSONResponse({"name": name, "notes": notes})


async def _speak(request: Request) -> Response:
    """A video of the avatar that speaks a file or a text; its parts are sent while the next are made."""
    site: Site = request.app.state.site
    place = site.place()
    await place.__aenter__()
    try:
        video = await _spoken(site, request)
    except BaseException:
        await place.__aexit__(None, None, None)
        raise

    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                part = await run_in_threadpool(next, video, None)
                if part is None:
                    return
                yield part
        finally:  # also where the client has gone
            video.close()
            await place.__aexit__(None, None, None)

    return StreamingResponse(parts(), media_type="video/mp4")


async def _spoken(site: Site, request: Request) -> Any:
    async with request.form() as form:
        style = await _style_in(site, form)
        text = form.get("text")
        if isinstance(text, str) and text.strip():
            wave = await run_in_threadpool(lambda: np.concatenate(list(say(text))))
        else:
            async with _stored(form.get("audio"), "audio") as path:
                wave = await run_in_threadpool(read_wave, path)
    if len(wave) > site.limits.sound * SAMPLE_RATE:
        raise HTTPException(413, f"the sound is longer than {site.limits.sound:g} s")
    return _video(site.avatar, wave, site.avatar.speak(wave, style, at_once=4))


async def _style_in(site: Site, form: Any) -> Any:
    given = form.get("style")
    try:
        strength = float(form.get("strength") or 1)
        factors = json.loads(form.get("factors") or "{}")
    except (TypeError, ValueError) as error:
        raise HTTPException(400, "`strength` is a number, and `factors` a JSON object of numbers") from error
    if isinstance(given, UploadFile):
        async with _stored(given, "style") as path:
            given, _ = await run_in_threadpool(site.styles.read, path)
    choice = Choice.of({"style": given or None, "strength": strength, "factors": factors})
    return await run_in_threadpool(site.styles.of, choice)


def _video(avatar: Avatar, wave: Any, stream: Stream) -> Iterator[bytes]:
    writer = FragmentWriter(avatar.size, avatar.fps, avatar.marks)
    try:
        yield writer.beginning
        for number, frame in enumerate(stream):
            start, stop = (round(n / avatar.fps * SAMPLE_RATE) for n in (number, number + 1))
            part = np.zeros(stop - start, np.float32)
            part[: len(wave[start:stop])] = wave[start:stop]
            yield writer.write(frame, part)
        yield writer.close()
    finally:
        stream.close()


@asynccontextmanager
async def _stored(file: Any, what: str) -> AsyncIterator[Path]:
    """The path of a file of a form, while it is needed."""
    if not isinstance(file, UploadFile):
        raise HTTPException(400, f"the form has no file `{what}`")
    suffix = Path(file.filename or "").suffix[:10]
    with tempfile.NamedTemporaryFile(prefix="vast-", suffix=suffix if suffix[1:].isalnum() else "") as kept:
        while part := await file.read(1 << 20):
            kept.write(part)
        kept.flush()
        yield Path(kept.name)
