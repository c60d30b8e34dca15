"""The live WebSocket: sound and wishes come from the visitor, and the avatar's video goes there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vast_core.errors import VastError

from .origins import is_foreign
from .saying import say
from .site import Busy, Site
from .styles import Choice
from .talk import Talk

__all__ = ["live"]

SLOW = 8_000_000
"""Bytes that a visitor may be behind before the connection is closed (our choice: half a minute and more)."""


async def live(socket: WebSocket) -> None:
    """The live avatar: bytes from the visitor are sound, bytes to the visitor are video."""
    site: Site = socket.app.state.site
    if is_foreign(socket.headers.get("origin"), socket.headers.get("host")):
        await socket.close(4403, "other sites may not use this avatar")
        return
    await socket.accept()
    try:
        async with site.place():
            await Visit(site, socket).run()
    except Busy:
        await socket.send_json({"error": "all places are taken; try again later"})
        await socket.close(4503, "all places are taken")


class Visit:
    """One visitor on the WebSocket, from the first message to the last."""

    def __init__(self, site: Site, socket: WebSocket) -> None:
        self._site, self._socket = site, socket
        self._loop = asyncio.get_running_loop()
        self._out: asyncio.Queue[bytes | Mapping[str, Any] | None] = asyncio.Queue()
        self._behind = 0
        self._speech: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the visitor until one of the two goes, then free everything."""
        style = await run_in_threadpool(self._site.styles.of, Choice())
        self._talk = Talk(self._site.avatar, style, self._give, self._tell, self._site.limits.sound)
        await self._socket.send_json(self._talk.hello)
        self._talk.start()
        tasks = [asyncio.create_task(work) for work in (self._read(), self._write())]
        try:
            await asyncio.wait(tasks, timeout=60 * self._site.limits.minutes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._talk.close()
            for task in (*tasks, *self._speech):
                task.cancel()
            await asyncio.gather(*tasks, *self._speech, return_exceptions=True)
            await run_in_threadpool(self._talk.join)
            if self._socket.client_state is WebSocketState.CONNECTED:
                try:
                    await self._socket.close()
                except RuntimeError:  # it has closed meanwhile
                    return

    def _give(self, part: bytes) -> None:
        self._put(part)

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._put(message)

    def _put(self, item: bytes | Mapping[str, Any] | None) -> None:
        """Send something, from any thread; a visitor who cannot follow is sent away."""
        if isinstance(item, bytes):
            self._behind += len(item)
            if self._behind > SLOW:
                item = None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._out.put_nowait, item)

    async def _write(self) -> None:
        while (item := await self._out.get()) is not None:
            if isinstance(item, bytes):
                await self._socket.send_bytes(item)
                self._behind -= len(item)
            else:
                await self._socket.send_json(item)

    async def _read(self) -> None:
        while True:
            try:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if (sound := message.get("bytes")) is not None:
                    self._talk.hear(_samples(sound))
                else:
                    await self._do(json.loads(message.get("text") or "{}"))
            except WebSocketDisconnect:
                return
            except (VastError, ValueError, AttributeError, TypeError) as error:
                known = isinstance(error, VastError)
                self._tell({"error": str(error) if known else "this message is not understood; see /docs"})

    async def _do(self, message: Mapping[str, Any]) -> None:
        match message.get("do"):
            case "say":
                task = asyncio.create_task(self._say(str(message.get("text", ""))))
                self._speech.add(task)
                task.add_done_callback(self._speech.discard)
            case "interrupt":
                for task in self._speech:
                    task.cancel()
                self._talk.interrupt()
            case "style":
                self._talk.change(await run_in_threadpool(self._site.styles.of, Choice.of(message)))
                self._tell({"style": message.get("style")})
            case _:
                raise ValueError(message)

    async def _say(self, text: str) -> None:
        try:
            sentences = say(text)
            while (wave := await run_in_threadpool(next, sentences, None)) is not None:
                self._talk.hear(wave)
        except VastError as error:
            self._tell({"error": str(error)})


def _samples(sound: bytes) -> NDArray[np.float32]:
    """A wave (S,) of 16-bit samples, little-endian."""
    wave: NDArray[np.float32] = np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32768)
    return wave
