"""Start a server for an avatar: for ever, or for a while."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from rich.console import Console
from starlette.types import ASGIApp

from vast_core.api import Avatar, load
from vast_core.errors import InputError
from vast_core.registry import Registry

from .limits import Limits
from .server import application
from .site import Site

__all__ = ["is_local", "listening", "load_avatar", "serve", "serve_avatar", "served"]

MESSAGE = 4_000_000
"""Largest message of a visitor, bytes: two minutes of sound."""


def load_avatar(run: Path, look_ahead: float, registry: Registry) -> Avatar:
    """The avatar of a run or a packed file, made ready to answer at once."""
    avatar = load(run, look_ahead=look_ahead, registry=registry)
    live = avatar.live(avatar.style("sample", strength=0.0))
    next(live)  # the first moment takes longer, because memory is set up
    live.close()
    return avatar


def serve_avatar(avatar: Avatar, limits: Limits, console: Console, *, host: str, port: int) -> None:
    """Serve an avatar until it is stopped; ``port`` 0 chooses a free one.

    Raises :class:`vast_core.errors.InputError` if the address is not available.
    """
    later = f"A frame depends on {1000 * avatar.latency:.0f} ms of later sound."
    serve(application(Site(avatar, limits)), f"{avatar.name} lives at", later, console, host=host, port=port)


def serve(app: ASGIApp, what: str, more: str, console: Console, *, host: str, port: int) -> None:
    """Serve an application until it is stopped; ``what`` stands before its address, and ``more`` after it.

    Raises :class:`vast_core.errors.InputError` if the address is not available.
    """
    with _listen(host, port) as listener:
        console.print(f"{what} {_address(listener)}", style="bold", soft_wrap=True)
        console.print(f"{more} Ctrl-C stops the server.")
        if not is_local(host):
            console.print(
                "Sound and pictures travel unencrypted, and browsers give no microphone to such pages: admit visitors "
                "from outside through a proxy that speaks https.",
                style="yellow",
            )
        try:
            uvicorn.Server(_config(app)).run(sockets=[listener])
        except KeyboardInterrupt:
            console.print("Stopped.")


@contextmanager
def served(avatar: Avatar, limits: Limits | None = None) -> Iterator[str]:
    """Serve an avatar on a free port of this machine for a while; gives its address."""
    with listening(application(Site(avatar, limits or Limits()))) as url:
        yield url


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Serve an application on a free port of this machine for a while; gives its address."""
    with _listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield _address(listener)
        finally:
            server.should_exit = True
            thread.join()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,  # what visitors do is theirs
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
        ws="auto",
        ws_max_size=MESSAGE,
        ws_per_message_deflate=False,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot listen ({error.strerror}); choose another --host or --port") from error


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(listener: socket.socket) -> str:
    name, port = listener.getsockname()[:2]
    if ipaddress.ip_address(name).is_unspecified:
        name = socket.gethostname()
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"
