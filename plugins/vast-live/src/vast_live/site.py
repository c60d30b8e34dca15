"""One served avatar, and those who are there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vast_core.api import Avatar

from .limits import Limits
from .styles import Styles

__all__ = ["Busy", "Site"]


class Site:
    """One served avatar, and those who are there."""

    def __init__(self, avatar: Avatar, limits: Limits) -> None:
        self.avatar, self.limits = avatar, limits
        self.styles = Styles(avatar, limits.styles)
        self.clients = 0
        """Clients that are served at this moment."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one client. Raises :class:`Busy` if there is none."""
        if self.clients >= self.limits.clients:
            raise Busy
        self.clients += 1
        try:
            yield
        finally:
            self.clients -= 1


class Busy(Exception):
    """All places are taken."""
