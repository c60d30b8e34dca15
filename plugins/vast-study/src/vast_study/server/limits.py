"""Limits of what one address may do, counted in the study's database: they hold for all servers together."""

from __future__ import annotations

import attrs
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..tables import Attempt
from .security import sign


@attrs.frozen
class Limit:
    """At most ``events`` of one address within ``seconds``.

    Addresses are stored as keyed hashes, and removed with the next event after they have expired.
    """

    name: str
    events: int
    seconds: float

    def reached(self, session: Session, key: str, address: str, now: float) -> bool:
        """Whether no further event of this address is allowed now; ``key`` is the study's secret."""
        query = select(func.count(Attempt.id)).where(
            Attempt.limit == self.name, Attempt.address == self._hidden(key, address), Attempt.at > now - self.seconds
        )
        return (session.scalar(query) or 0) >= self.events

    def count(self, session: Session, key: str, address: str, now: float) -> None:
        """Count an event."""
        session.execute(delete(Attempt).where(Attempt.limit == self.name, Attempt.at <= now - self.seconds))
        session.add(Attempt(limit=self.name, address=self._hidden(key, address), at=now))

    def _hidden(self, key: str, address: str) -> str:
        return sign(key, "address", address)
