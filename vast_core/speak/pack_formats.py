"""Formats of packed avatars that plugins add, for programs without vast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ComponentError, InputError
from ..registry import Registry
from ..registry.declarations import imported

OWN = "vast"
"""The core's own format."""


def pack_format(name: str, registry: Registry) -> Callable[..., Any]:
    """The function of a plugin that packs avatars in the format ``name``.

    Raises :class:`InputError` if no plugin has it, and :class:`ComponentError` if two have it, or if its function
    cannot be imported.
    """
    found = [(plugin, formats()) for plugin, formats in registry.each("vast_pack_formats")]
    known = sorted({OWN, *(own for _, formats in found for own in formats)})
    owners = [plugin for plugin, formats in found if name in formats]
    if not owners:
        raise InputError(f"no format of packed avatars is called {name!r}; there are {', '.join(known)}")
    if len(owners) > 1:
        raise ComponentError(
            f"the format {name!r} is declared by the plugins {' and '.join(owners)}; name one of them in VAST_PLUGINS"
        )
    target = next(formats[name] for _, formats in found if name in formats)
    who = f"the format {name!r} of the plugin {owners[0]}"
    packer: Callable[..., Any] = imported(target, who)
    if not callable(packer):
        raise ComponentError(f"{who}: {target} is no function; write it as module:function")
    return packer
