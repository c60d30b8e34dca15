"""The styles that visitors choose: names, clips of their own, strength and factors."""

from __future__ import annotations

import re
import secrets
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from vast_core.api import Avatar, Style
from vast_core.errors import InputError

__all__ = ["Choice", "Styles"]


@attrs.frozen(kw_only=True)
class Choice:
    """What a visitor asks for."""

    style: str | None = None
    """A name; None is the avatar's neutral style, or with factors the middle of their ranges."""
    strength: float = 1.0
    factors: Mapping[str, float] = attrs.field(factory=dict)

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Choice:
        """Read a choice from JSON. Raises :class:`InputError` if it is none."""
        style, strength, factors = message.get("style"), message.get("strength", 1.0), message.get("factors") or {}
        if not isinstance(style, str | None):
            raise InputError("`style` is the name of a style, or null")
        if not _is_number(strength) or not -4 <= strength <= 4:
            raise InputError("`strength` is a number from -4 to 4")
        if not isinstance(factors, Mapping) or not all(map(_is_number, factors.values())):
            raise InputError("`factors` has a number for each name")
        if style and not re.fullmatch(r"[a-z0-9_-]{1,64}|label:[^/\\\\]{1,200}", style):
            raise InputError(f"`style` {style!r} is no name; GET /avatar lists those that there are")
        return cls(style=style or None, strength=float(strength), factors=dict(factors))


class Styles:
    """The avatar's styles by name, and those of visitors' clips, which are kept while the server runs."""

    def __init__(self, avatar: Avatar, most: int) -> None:
        """``most`` clips' styles are kept."""
        self._avatar, self._most = avatar, most
        self._folder = tempfile.TemporaryDirectory(prefix="vast-styles-")
        self._read: OrderedDict[str, Path] = OrderedDict()
        self._reading = threading.Lock()

    def read(self, clip: Path) -> tuple[str, Style]:
        """The style of a clip, and the name under which it is kept. Raises the errors of ``Avatar.style``."""
        with self._reading:  # one at a time: tracking takes all of a core
            style = self._avatar.style(clip)
            name = f"clip-{secrets.token_hex(8)}"
            path = Path(self._folder.name, f"{name}.safetensors")
            style.save(path)
            self._read[name] = path
            while len(self._read) > self._most:
                self._read.popitem(last=False)[1].unlink()
        return name, style

    def of(self, choice: Choice) -> Style:
        """The style of a choice. Raises the errors of ``Avatar.style``."""
        if choice.style is None and not choice.factors:
            return self._avatar.style("sample", strength=0.0)
        prompts = [] if choice.style is None else [self._read.get(choice.style, choice.style)]
        return self._avatar.style(*prompts, strength=choice.strength, factors=choice.factors)

    def close(self) -> None:
        """Forget all clips."""
        self._folder.cleanup()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
