"""A web page, and an address for programs, at which an avatar speaks a sound and answers with a video."""

from __future__ import annotations

import io
import ipaddress
import json
import re
import socket
import tempfile
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Lock, Timer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .avatar import Avatar
from .errors import AvatarError
from .sound import RATE, read_wave

MOST = 64 * 2**20
"""Largest sound that is accepted, in bytes."""

SECONDS = 600
"""Longest sound that is accepted, in seconds."""

PATIENCE = 60.0
"""Seconds in which a request must have come as a whole; each part of an answer must be taken in twice as many."""

HERE = ("127.0.0.1", "localhost", "::1")
"""Names of this machine."""

_OWN = ("style", "strength")
"""Parameters that are no factors."""


def server(avatar: Avatar, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is not yet running.

    It refuses what pages of other sites send, and if only this machine reaches it, also requests for another name: that
    of a site which has been made to lead here.

    Raises :class:`AvatarError` if the address is taken, or is none.
    """
    speaking, local = Lock(), _is_local(host)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        timeout = 2 * PATIENCE  # of each part of an answer; reading ends earlier

        def handle_one_request(self) -> None:
            waiting = Timer(PATIENCE, self._read_no_more)  # a client may send a byte now and then
            waiting.daemon = True
            waiting.start()
            try:
                super().handle_one_request()
            finally:
                waiting.cancel()

        def do_GET(self) -> None:
            if self._foreign():
                self._fail(HTTPStatus.FORBIDDEN, "other sites may not use this avatar")
            elif urlsplit(self.path).path == "/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", _page())
            elif urlsplit(self.path).path == "/avatar":
                about = {"name": avatar.name, "styles": avatar.styles, "factors": avatar.factors}
                self._answer(HTTPStatus.OK, "application/json", json.dumps(about).encode())
            else:
                self._fail(HTTPStatus.NOT_FOUND, "there is only / and /avatar, and POST /speak")

        def do_POST(self) -> None:
            asked, lengths = urlsplit(self.path), self.headers.get_all("Content-Length", [])
            if self._foreign():
                self._fail(HTTPStatus.FORBIDDEN, "other sites may not use this avatar")
            elif asked.path != "/speak":
                self._fail(HTTPStatus.NOT_FOUND, "only /speak takes a sound")
            elif len(lengths) != 1 or "Transfer-Encoding" in self.headers:
                self._fail(HTTPStatus.LENGTH_REQUIRED, "say once how long the sound is (Content-Length)")
            elif not re.fullmatch("[0-9]{1,15}", lengths[0].strip()):
                self._fail(HTTPStatus.BAD_REQUEST, "Content-Length is no number of bytes")
            elif int(lengths[0]) > MOST:
                self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"give a sound of at most {MOST} bytes")
            elif len(sound := self.rfile.read(int(lengths[0]))) < int(lengths[0]):
                self._fail(HTTPStatus.REQUEST_TIMEOUT, f"the sound has not come whole within {PATIENCE:g} s")
            else:
                self._speak(sound, dict(parse_qsl(asked.query)))

        def _speak(self, sound: bytes, given: dict[str, str]) -> None:
            try:
                numbers = {name: float(value) for name, value in given.items() if name != "style"}
                factors = {name: value for name, value in numbers.items() if name not in _OWN}
                named = given.get("style") or None
                if named is not None and named not in avatar.styles:  # never a file of this machine
                    raise AvatarError(f"the style {named!r} is unknown; there are {', '.join(avatar.styles) or 'none'}")
                style = avatar.style(named, strength=numbers.get("strength", 1.0), factors=factors)
                wave = read_wave(io.BytesIO(sound), SECONDS + 1)
                if len(wave) > SECONDS * RATE:
                    self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"give a sound of at most {SECONDS} s")
                    return
                with tempfile.TemporaryDirectory(prefix="vast-") as folder, speaking:
                    video = avatar.write(Path(folder) / "out.mp4", wave, style).read_bytes()
            except (AvatarError, ValueError) as error:
                self._fail(HTTPStatus.BAD_REQUEST, str(error))
            else:
                self._answer(HTTPStatus.OK, "video/mp4", video)

        def _foreign(self) -> bool:
            """Whether a page of another site has sent the request, or it is for a name that is not this machine's."""
            host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
            try:
                strange = origin is not None and urlsplit(origin).netloc != host and self.command != "GET"
                return strange or (local and urlsplit(f"//{host}").hostname not in HERE)
            except ValueError:
                return True

        def _read_no_more(self) -> None:
            with suppress(OSError):  # it is closed already
                self.connection.shutdown(socket.SHUT_RD)

        def _fail(self, status: HTTPStatus, why: str) -> None:
            self.close_connection = True  # what was sent is not read
            self._answer(status, "text/plain; charset=utf-8", why.encode())

        def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            for first in range(0, len(content), 2**16):
                self.wfile.write(content[first : first + 2**16])

        def log_message(self, format: str, *args: Any) -> None:
            """Keep no log of who asks."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OverflowError as error:
        raise AvatarError(f"{port}: is no port; choose a --port from 0 to 65535") from error
    except OSError as error:
        raise AvatarError(f"{host}:{port}: cannot listen there ({error.strerror}); choose another --port") from error


def _is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _page() -> bytes:
    return files(__package__).joinpath("page.html").read_bytes()
