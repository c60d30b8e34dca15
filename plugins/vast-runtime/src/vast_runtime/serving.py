"""A web page, and an address for programs, at which an avatar speaks a sound and answers with a video."""

from __future__ import annotations

import io
import json
import tempfile
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .avatar import Avatar
from .errors import AvatarError

MOST = 64 * 2**20
"""Largest sound that is accepted, in bytes."""

_OWN = ("style", "strength")
"""Parameters that are no factors."""


def server(avatar: Avatar, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is not yet running. Raises :class:`AvatarError` if the address is taken."""
    speaking = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if urlsplit(self.path).path == "/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", _page())
            elif urlsplit(self.path).path == "/avatar":
                about = {"name": avatar.name, "styles": avatar.styles, "factors": avatar.factors}
                self._answer(HTTPStatus.OK, "application/json", json.dumps(about).encode())
            else:
                self._fail(HTTPStatus.NOT_FOUND, "there is only / and /avatar, and POST /speak")

        def do_POST(self) -> None:
            asked = urlsplit(self.path)
            length = self.headers.get("Content-Length", "")
            if asked.path != "/speak":
                self._fail(HTTPStatus.NOT_FOUND, "only /speak takes a sound")
            elif not length.isdecimal():
                self._fail(HTTPStatus.LENGTH_REQUIRED, "say how long the sound is (Content-Length)")
            elif int(length) > MOST:
                self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"give a sound of at most {MOST} bytes")
            else:
                self._speak(self.rfile.read(int(length)), dict(parse_qsl(asked.query)))

        def _speak(self, sound: bytes, given: dict[str, str]) -> None:
            try:
                numbers = {name: float(value) for name, value in given.items() if name != "style"}
                factors = {name: value for name, value in numbers.items() if name not in _OWN}
                named = given.get("style") or None
                if named is not None and named not in avatar.styles:  # never a file of this machine
                    raise AvatarError(f"the style {named!r} is unknown; there are {', '.join(avatar.styles) or 'none'}")
                style = avatar.style(named, strength=numbers.get("strength", 1.0), factors=factors)
                with tempfile.TemporaryDirectory(prefix="vast-") as folder, speaking:
                    video = avatar.write(Path(folder) / "out.mp4", io.BytesIO(sound), style).read_bytes()
            except (AvatarError, ValueError) as error:
                self._fail(HTTPStatus.BAD_REQUEST, str(error))
            else:
                self._answer(HTTPStatus.OK, "video/mp4", video)

        def _fail(self, status: HTTPStatus, why: str) -> None:
            self.close_connection = True  # what was sent is not read
            self._answer(status, "text/plain; charset=utf-8", why.encode())

        def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep no log of who asks."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise AvatarError(f"{host}:{port}: cannot listen there ({error.strerror}); choose another --port") from error


def _page() -> bytes:
    return files(__package__).joinpath("page.html").read_bytes()
