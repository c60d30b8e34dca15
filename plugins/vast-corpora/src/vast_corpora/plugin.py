"""The components of vast-corpora, declared without importing torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import FolderConfig, SyntheticConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="corpus",
            name="folder",
            target="vast_corpora.folder:FolderCorpus",
            config=FolderConfig,
            summary="any folder of videos; speakers and styles by sub-folder, file name or manifest",
        ),
        Component(
            kind="corpus",
            name="synthetic",
            target="vast_corpora.synthetic:SyntheticCorpus",
            config=SyntheticConfig,
            summary="speakers, styles and sentences made from a seed, with the truth about all of them; no download",
        ),
    ]
