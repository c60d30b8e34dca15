"""The components of vast-corpora, declared without importing torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import SyntheticConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="corpus",
            name="synthetic",
            target="vast_corpora.synthetic:SyntheticCorpus",
            config=SyntheticConfig,
            summary="speakers, styles and sentences made from a seed, with the truth about all of them; no download",
        ),
    ]
