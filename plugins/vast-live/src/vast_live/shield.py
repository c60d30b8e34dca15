"""Headers and the limit on size that all requests have in common."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Shield"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


FORBEARANCE = 4
"""Times the largest request that are read, and dropped, before a larger one is cut off."""


class _TooLarge(Exception):
    pass


class Shield:
    """Adds security headers to every answer, and refuses requests above a number of bytes."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        """``most`` is the number of bytes of the largest request."""
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read, started, more = 0, False, True

        async def receive_counted() -> Message:
            nonlocal read, more
            message = await receive()
            read += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            if read > self._most:
                raise _TooLarge
            return message

        async def send_shielded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if length.isdigit() and int(length) > self._most:
                raise _TooLarge
            await self._app(scope, receive_counted, send_shielded)
        except _TooLarge:
            if started:
                raise
            while more and read < FORBEARANCE * self._most:  # who still sends does not see an answer
                message = await receive()
                read += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
            words = {"error": f"this request is larger than {self._most / 1e6:g} MB"}
            headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send_shielded({"type": "http.response.start", "status": 413, "headers": headers})
            await send_shielded({"type": "http.response.body", "body": json.dumps(words).encode()})
