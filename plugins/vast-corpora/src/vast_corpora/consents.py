"""``consent.yaml``: what the people in a folder of footage have agreed to."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from vast_core.errors import InputError, MediaWarning
from vast_core.files import composed, fetched
from vast_core.interfaces import Consent
from vast_core.media import file_digest

__all__ = ["read_consents"]

NAME = "consent.yaml"
_KEYS = ("who", "purpose", "until", "withdrawn", "signed", "file")


def read_consents(folder: Path, speakers: Iterable[str]) -> dict[str, Consent | None]:
    """The consent of each speaker, from ``consent.yaml`` in ``folder``; None where nothing is on record.

    Names are compared whichever form their accents have. A warning lists the entries that are of no speaker, because
    one of them may be misspelt. If the folder stands for a URL, the file and the signed ones that it names are fetched.

    Raises :class:`InputError` if the file cannot be understood, if a signed file is not the one that it names, or if a
    URL cannot be reached.
    """
    path = fetched(folder / NAME, missing=True)
    written = _read(path) if path.is_file() else {}
    names = {speaker: composed(speaker) for speaker in speakers}
    if others := [name for name in written if name not in names.values()]:
        warnings.warn(
            f"{path}: no speaker of this corpus is called {', '.join(others)}; correct the name if it is misspelt "
            f"(the speakers are {', '.join(names)})",
            MediaWarning,
            stacklevel=2,
        )
    return {
        speaker: _consent(path, speaker, written[name]) if name in written else None for speaker, name in names.items()
    }


def _read(path: Path) -> dict[str, Any]:
    """The entries by name. Names are taken as they are written: ``001`` is no number and ``no`` is no truth value."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise InputError(f"{path}: give each speaker an entry, such as `ann: {{who: Ann Lee, purpose: our page}}`")
        found: dict[str, Any] = {}
        for key, entry in root.value:
            name = composed(str(key.value))
            if name in found:
                raise InputError(f"{path}:{key.start_mark.line + 1}: {name} has two entries; keep one")
            found[name] = loader.construct_document(entry)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return found


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
    signed, file = entry.get("signed"), entry.get("file")
    if signed is not None and not re.fullmatch("[0-9a-fA-F]{64}", str(signed)):
        raise InputError(
            f"{place}: signed is {signed!r}, which is no SHA-256; write the 64 digits (0-9, a-f) that `sha256sum` "
            "prints for the signed file"
        )
    if file is not None:
        found = file_digest(fetched(path.parent / str(file)))
        if signed is None:
            raise InputError(f"{place}: the file {file} is named without its SHA-256; add `signed: {found}`")
        if found != str(signed).lower():
            raise InputError(
                f"{place}: {file} is not the file that was signed: its SHA-256 is {found}, but the entry says "
                f"{signed}; restore the signed file, or correct the entry"
            )
    facts: dict[str, Any] = {key: entry.get(key) for key in ("who", "purpose", "until", "withdrawn")}
    return Consent(**facts, signed=None if signed is None else str(signed).lower())
