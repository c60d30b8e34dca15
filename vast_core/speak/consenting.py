"""Hold a run and an avatar to the consent of the people in the footage."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import cattrs

from ..errors import InputError
from ..interfaces import Consent

__all__ = ["consent_of", "plain_consent", "require_consent", "without_consent"]

RECORD = "consent.yaml"
_dates = cattrs.Converter()
_dates.register_structure_hook(datetime.date, lambda text, _: datetime.date.fromisoformat(text))
_dates.register_unstructure_hook(datetime.date, datetime.date.isoformat)


def require_consent(consents: Mapping[str, Consent | None]) -> None:
    """Raise :class:`InputError` with all people whose consent has ended."""
    today = datetime.date.today()
    ended = {speaker: why for speaker, own in consents.items() if own is not None and (why := own.ended(today))}
    if ended:
        listed = "; ".join(f"that of {speaker} {why}" for speaker, why in ended.items())
        first = next(iter(ended))
        raise InputError(
            f"consent does not hold: {listed}. `vast forget {first}` removes what was made of {first}; take the "
            f"footage out of the corpus, or renew the consent in {RECORD}"
        )


def without_consent(consents: Mapping[str, Consent | None]) -> str | None:
    """One sentence that names the people without a consent on record; None if there are none."""
    missing = [speaker for speaker, own in consents.items() if own is None]
    if not missing:
        return None
    shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
    return f"No consent is on record for {shown}: write it to {RECORD} in the corpus's folder."


def plain_consent(speaker: str, consents: Mapping[str, Consent | None]) -> dict[str, Any] | None:
    """The consent of an avatar's speaker for the header of its weights; None if the speaker is no person."""
    if speaker not in consents:
        return None
    own = consents[speaker]
    return {"state": "missing"} if own is None else {"state": "given", **_dates.unstructure(own)}


def consent_of(avatar: str, header: Mapping[str, Any]) -> str:
    """What the header of an avatar says about consent, in words; raises :class:`InputError` if it has ended."""
    if "consent" not in header:
        return "unknown: the avatar was made without a record"
    written = header["consent"]
    if written is None:
        return "not needed: no person is shown"
    facts = dict(written)
    if facts.pop("state") == "missing":
        return "none on record"
    own = _dates.structure(facts, Consent)
    if why := own.ended(datetime.date.today()):
        raise InputError(
            f"consent does not hold: that of {avatar} {why}, so the avatar does not speak; `vast forget {avatar}` "
            "removes what was made"
        )
    until = f" until {own.until}" if own.until else ""
    return f"given for {own.purpose}{until}"
