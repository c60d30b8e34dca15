"""What ``avatar.json`` of a packed avatar must say."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

_ANY = "*"
"""Stands for every key of a mapping."""

_FORM: dict[str, Any] = {
    "name": str,
    "fps": float,
    "size": [int],
    "frames": int,
    "audio": {"frames": int, "lead": int, "samples": int},
    "lookahead": int,
    "style_size": int,
    "model": str,
    "styles": {_ANY: {"code": [float]}},
    "factors": {_ANY: [float]},
    "middle": ([float], None),
    "graphs": {
        _ANY: {
            "file": str,
            "inputs": {_ANY: {"shape": [int], "type": str}},
            "outputs": [str],
            "states": [str],
        }
    },
    "crop": {"x": float, "y": float, "side": float, "size": int},
    "erosion": int,
    "draws_close_up": bool,
    "mouth": ({"centre": [float], "side": float, "width": float, "size": int}, None),
    "metadata": {_ANY: str},
    "consent": {"until": (str, None), "withdrawn": (str, None)},
    "sha256": {_ANY: str},
}
"""Types of the facts: a list has any number of one type, and a tuple is a choice."""


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise :class:`ValueError` that names a fact which is missing or wrong."""
    _check(facts, _FORM, "")
    if len(facts["size"]) != 2 or min(facts["fps"], facts["frames"], *facts["size"], facts["audio"]["frames"]) <= 0:
        raise ValueError("fps, frames or size is not positive")
    if facts["draws_close_up"] and facts["mouth"] is None:
        raise ValueError("mouth is missing")
    for day in facts["consent"].values():
        if day is not None:
            datetime.date.fromisoformat(day)


def ended(consent: Mapping[str, str | None], today: datetime.date) -> str | None:
    """Why the speaker's consent does not hold on a day, in words; None if it holds or there is none to hold."""
    until, withdrawn = (day and datetime.date.fromisoformat(day) for day in (consent["until"], consent["withdrawn"]))
    if withdrawn and withdrawn <= today:
        return f"was withdrawn on {withdrawn}"
    if until and until < today:
        return f"ended on {until}"
    return None


def _check(value: Any, form: Any, name: str) -> None:
    if isinstance(form, tuple):
        if value is not None:
            _check(value, form[0], name)
    elif isinstance(form, dict):
        _require(isinstance(value, dict), value, name)
        for key, own in form.items():
            for each in value if key == _ANY else (key,):
                _check(value.get(each), own, f"{name}.{each}".removeprefix("."))
    elif isinstance(form, list):
        _require(isinstance(value, list), value, name)
        for each in value:
            _check(each, form[0], name)
    elif form is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _require(number and math.isfinite(value), value, name)
    else:
        _require(type(value) is form, value, name)


def _require(holds: bool, value: object, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {'missing' if value is None else repr(value)[:40]}")
