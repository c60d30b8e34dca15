"""What is on record about the consent of a person whose footage a corpus has."""

from __future__ import annotations

import datetime

import attrs


@attrs.frozen(kw_only=True)
class Consent:
    """The consent of one person."""

    who: str
    """Name of the person, or of whoever may consent for them."""
    purpose: str
    """What it was given for."""
    until: datetime.date | None = None
    """Last day on which it holds; None if it has no end."""
    withdrawn: datetime.date | None = None
    """Day on which it was withdrawn."""
    signed: str | None = None
    """SHA-256 of the signed file, in hexadecimal."""

    def ended(self, today: datetime.date) -> str | None:
        """Why it does not hold on a day, in words; None if it holds."""
        if self.withdrawn is not None and self.withdrawn <= today:
            return f"was withdrawn on {self.withdrawn}"
        if self.until is not None and self.until < today:
            return f"ended on {self.until}"
        return None
