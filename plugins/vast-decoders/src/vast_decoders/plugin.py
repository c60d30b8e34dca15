"""The components of vast-decoders, declared without importing torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return []
