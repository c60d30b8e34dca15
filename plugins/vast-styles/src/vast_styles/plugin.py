"""Declarations of vast-styles; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import AttentiveConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="style",
            name="attentive",
            target="vast_styles.attentive:AttentiveEncoder",
            config=AttentiveConfig,
            summary="transformer with attention pooling over a prompt of any length, with or without sound",
            reference="after Ma et al. 2023, StyleTalk; sizes and statistics are our choice",
        ),
    ]
