"""Security: headers, limits, one-way hashes and the tokens of forms and sessions."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..enrolment import fingerprint

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # the address of a personal link is a secret: it is sent to no other site, and not written to our own log
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Sent with every response."""

BODY = 16 * 1024
"""Maximum bytes of a request; the largest form has a few hundred."""

SESSION = 12 * 3600
"""Seconds after which the experimenter must enter the token again."""


def fresh_secret() -> str:
    """128 unguessable bits, hexadecimal."""
    return secrets.token_hex(16)


def matches(secret: str, kept: str) -> bool:
    """Whether ``secret`` has the fingerprint ``kept``, in constant time."""
    return hmac.compare_digest(fingerprint(secret), kept)


def sign(key: str, *words: str) -> str:
    """HMAC-SHA256 of words under the study's key, hexadecimal; different lists of words give different messages."""
    return hmac.new(key.encode(), "\0".join(words).encode(), hashlib.sha256).hexdigest()


def form_token(key: str, session: str) -> str:
    """The token that a form sent by this session must carry; another site cannot know it."""
    return sign(key, "form", session)


def is_form_token(key: str, session: str, token: str) -> bool:
    """Whether ``token`` belongs to this session."""
    return hmac.compare_digest(form_token(key, session).encode(), token.encode())


def open_session(key: str, kept: str, now: float) -> str:
    """A cookie for the experimenter, valid for :data:`SESSION` seconds and while the token is unchanged."""
    until = str(int(now + SESSION))
    return f"{until}.{sign(key, 'experimenter', kept, until)}"


def is_session(key: str, kept: str, cookie: str, now: float) -> bool:
    """Whether :func:`open_session` issued this cookie, and not too long ago."""
    until, _, signature = cookie.partition(".")
    if not (until.isascii() and until.isdigit() and len(until) < 16):
        return False
    genuine = hmac.compare_digest(sign(key, "experimenter", kept, until).encode(), signature.encode())
    return genuine and now < int(until)


def neighbourhood(host: str) -> str:
    """An address as counted by limits: IPv6 addresses are reduced to their network of 64 bits, typically one
    household."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


class Shield:
    """Refuses large bodies before they are read, and sends :data:`HEADERS` with every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        body, complete = b"", False
        while not complete:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            complete = not message.get("more_body", False)
            if len(body) > BODY:
                await _too_large(send_shielded)
                return
        first = True

        async def receive_read() -> Message:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self.app(scope, receive_read, send_shielded)


async def _too_large(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"This is more than any form of this study holds.\n"})
