"""Which components exist, who provides them, and which plugins failed to load."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

import attrs

Kind = Literal["corpus", "face", "audio", "style", "flow", "decoder", "renderer", "metric"]
KINDS: tuple[Kind, ...] = ("corpus", "face", "audio", "style", "flow", "decoder", "renderer", "metric")


@attrs.frozen(kw_only=True)
class Component:
    """A named, lazily imported implementation of one interface."""

    kind: Kind = attrs.field(validator=attrs.validators.in_(KINDS))
    name: str
    target: str
    """``module:Class``, imported only at assembly."""
    config: type
    """Frozen attrs class; its fields are the component's options in a recipe."""
    summary: str
    """One line."""
    reference: str = ""
    """The paper, where there is one."""
    provider: str = ""
    """Name and version of the distribution; filled in at discovery."""

    def load(self) -> Any:
        """Import the implementation."""
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)
