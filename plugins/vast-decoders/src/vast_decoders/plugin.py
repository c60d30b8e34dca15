"""Declarations of vast-decoders; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import HybridConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="decoder",
            name="hybrid",
            target="vast_decoders.hybrid:HybridDecoder",
            config=HybridConfig,
            summary="a convolutional trunk for the whole face, an autoregressive head for the lower face",
            reference="after Chen et al. 2023, VAST; post-net of AdaMesh; the division into parts is our choice",
        ),
    ]
