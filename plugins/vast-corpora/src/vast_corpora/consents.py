"""``consent.yaml``: what the people in a folder of footage have agreed to."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from vast_core.errors import InputError
from vast_core.interfaces import Consent
from vast_core.media import file_digest

__all__ = ["read_consents"]

NAME = "consent.yaml"
_KEYS = ("who", "purpose", "until", "withdrawn", "signed", "file")


def read_consents(folder: Path, speakers: Iterable[str]) -> dict[str, Consent | None]:
    """The consent of each speaker, from ``consent.yaml`` in ``folder``; None where nothing is on record.

    Raises :class:`InputError` if the file cannot be understood, or if a signed file is not the one that it names.
    """
    path = folder / NAME
    written = _read(path) if path.is_file() else {}
    return {speaker: _consent(path, speaker, written[speaker]) if speaker in written else None for speaker in speakers}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: give each speaker an entry, such as `ann: {{who: Ann Lee, purpose: our page}}`")
    return {str(speaker): entry for speaker, entry in found.items()}


def _consent(path: Path, speaker: str, entry: object) -> Consent:
    place = f"{path}, {speaker}"
    if not isinstance(entry, Mapping):
        raise InputError(f"{place}: give who, purpose and until, such as `{{who: Ann Lee, purpose: our web page}}`")
    if unknown := [str(key) for key in entry if key not in _KEYS]:
        raise InputError(f"{place}: unknown key {unknown[0]!r}; the keys are {', '.join(_KEYS)}")
    for key in ("who", "purpose"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise InputError(f"{place}: {key} is missing; write it in words")
    for key in ("until", "withdrawn"):
        if not (entry.get(key) is None or type(entry[key]) is datetime.date):
            raise InputError(f"{place}: {key} is {entry[key]!r}; write a date, such as 2027-12-31")
    signed = entry.get("signed")
    if signed is not None and not (isinstance(signed, str) and len(signed) == 64):
        raise InputError(f"{place}: signed is no SHA-256; write the 64 digits that `sha256sum` gives for the file")
    if (file := entry.get("file")) is not None and file_digest(path.parent / str(file)) != signed:
        raise InputError(f"{place}: {file} is not the file that was signed: its SHA-256 is not {signed}")
    facts: dict[str, Any] = {key: entry.get(key) for key in ("who", "purpose", "until", "withdrawn", "signed")}
    return Consent(**facts)
