"""Which site a request comes from, as its headers say; they may hold anything."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["is_foreign", "machine"]


def is_foreign(origin: str | None, host: str | None) -> bool:
    """Whether a page of another site than ``host`` sends the request; none if there is no ``origin``."""
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != host
    except ValueError:  # no address at all
        return True


def machine(host: str) -> str | None:
    """The name of the machine in ``host``, without its port; None if there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
