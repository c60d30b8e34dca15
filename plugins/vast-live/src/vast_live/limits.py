"""What one server allows."""

from __future__ import annotations

import attrs

__all__ = ["TEXT", "Limits"]

TEXT = 2000
"""Most characters of a text to speak."""


@attrs.frozen(kw_only=True)
class Limits:
    """Limits on clients, time and size."""

    clients: int = 4
    """Most clients at a time."""
    minutes: float = 60.0
    """Longest visit."""
    megabytes: int = 64
    """Largest request."""
    sound: float = 600.0
    """Most seconds of sound that may wait to be spoken, or be in one file."""
    styles: int = 32
    """Most styles of visitors' clips that are kept; the oldest is forgotten."""

    @property
    def bytes(self) -> int:
        """Largest request, in bytes."""
        return self.megabytes * 1_000_000
