"""``vast study serve``: prepares the media, prints the addresses, and serves the study until Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import uvicorn
from rich.console import Console
from sqlalchemy.orm import Session

from vast_core.errors import InputError

from ..enrolment import fingerprint
from ..preparation import prepare
from ..storage import fact, keep_fact, open_storage
from ..study import Study
from .application import application
from .judge_pages import places
from .security import fresh_secret
from .site import Site


def serve(
    study: Study,
    console: Console,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    root_path: str = "",
    https: bool = False,
    hosts: Sequence[str] = (),
    new_token: bool = False,
) -> None:
    """Serve a study until it is stopped; ``port`` 0 chooses a free one.

    Behind a proxy, ``root_path`` is the prefix that it removes, and ``https`` says that judges connect to it by https.
    ``hosts`` are the host names that are answered, all if empty. ``new_token`` replaces the experimenter's token.

    Raises :class:`vast_core.errors.InputError` if the address is not available, and the errors of
    :func:`vast_study.preparation.prepare`.
    """
    root = "/" + root_path.strip("/") if root_path.strip("/") else ""
    storage = open_storage(study)
    try:
        with _listen(host, port) as listener:
            prepare(study, storage, console)
            with storage.session() as session:
                key, kept, token = _secrets(session, new_token)
                left = places(session, study)
            site = Site(study=study, storage=storage, key=key, experimenter=kept, secure=https)
            address = _address(listener, root)
            _announce(console, address, token, left, study)
            if not https and not _is_local(host):
                console.print(
                    "Links travel unencrypted: admit judges from outside through a proxy that speaks https.",
                    style="yellow",
                )
            config = uvicorn.Config(
                application(site, hosts),
                root_path=root,
                lifespan="off",  # not needed; otherwise Ctrl-C prints a traceback of its cancellation
                # requests are not logged: their addresses contain personal links
                access_log=False,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=5,
            )
            try:
                uvicorn.Server(config).run(sockets=[listener])
            except KeyboardInterrupt:
                console.print("Stopped. All scores are saved; `vast study serve` continues the study.")
    finally:
        storage.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot listen ({error.strerror}); choose another --host or --port") from error


def _secrets(session: Session, new_token: bool) -> tuple[str, str, str | None]:
    """The signing key, the fingerprint of the token, and the token itself if it has just been made."""
    key, kept, token = fact(session, "secret"), fact(session, "experimenter"), None
    if key is None:
        key = fresh_secret() + fresh_secret()
        keep_fact(session, "secret", key)
    if kept is None or new_token:
        token = fresh_secret()
        kept = fingerprint(token)
        keep_fact(session, "experimenter", kept)
    return key, kept, token


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(listener: socket.socket, root: str) -> str:
    name, port = listener.getsockname()[:2]
    if ipaddress.ip_address(name).is_unspecified:
        name = socket.gethostname()
    return f"http://{f'[{name}]' if ':' in name else name}:{port}{root}/"


def _announce(console: Console, address: str, token: str | None, left: int, study: Study) -> None:
    console.print(study.title, style="bold")
    console.print(f"  for judges            {address}  ({left} of {study.judges} places free)", soft_wrap=True)
    console.print(f"  for the experimenter  {address}experimenter{'#' + token if token else ''}", soft_wrap=True)
    if token:
        console.print(f"  token                 {token}", soft_wrap=True)
        console.print("The token is shown only once, because only its hash is stored. `--new-token` makes a new one.")
    console.print("Ctrl-C stops the server.")
