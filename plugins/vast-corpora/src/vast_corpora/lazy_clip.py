"""Clips whose phones and track are computed on access, so that a list of clips is cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from vast_core.interfaces import Clip


class LazyClip(Clip):
    """A clip that computes the fields named in ``make`` anew on each access.

    Their slots are empty, so Python calls ``__getattr__``. A copy by ``attrs.evolve`` has all fields computed.
    """

    def __init__(self, *, make: Mapping[str, Callable[[], Any]] = MappingProxyType({}), **known: Any) -> None:
        super().__init__(**known)
        object.__setattr__(self, "_make", make)
        for name in make:
            object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._make:
            raise AttributeError(f"a clip has no attribute {name!r}")
        return self._make[name]()
