"""Keeps pages of other sites away from a studio, which holds pictures of people."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Receive, Scope, Send

from ..origins import is_foreign, machine

__all__ = ["Guard"]

HERE = ("127.0.0.1", "localhost", "::1")
"""Names of this machine."""


class Guard:
    """Refuses requests that another site's page sends, and of a local studio those for a name that is not local.

    The second keeps out sites whose own name has been made to lead to this machine.
    """

    def __init__(self, app: ASGIApp, *, local: bool) -> None:
        self._app, self._local = app, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        strange = is_foreign(origin, host) and not reads
        if not strange and (not self._local or machine(host) in HERE):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        else:
            body = json.dumps({"error": "other sites may not use this studio"}).encode()
            kind = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 403, "headers": kind})
            await send({"type": "http.response.body", "body": body})
