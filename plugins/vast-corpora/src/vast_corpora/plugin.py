"""Declarations of vast-corpora; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import FolderConfig, SpeechConfig, SyntheticConfig, UnionConfig


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
            weights_licence="your footage: its licence and the consent of the people in it",
        ),
        Component(
            kind="corpus",
            name="speech",
            target="vast_corpora.speech_corpus:SpeechCorpus",
            config=SpeechConfig,
            summary="sound without pictures, for acoustic models: folders of recordings, and synthetic voices",
            weights_licence="your recordings: their licence",
        ),
        Component(
            kind="corpus",
            name="synthetic",
            target="vast_corpora.synthetic:SyntheticCorpus",
            config=SyntheticConfig,
            summary="speakers, styles and sentences generated from a seed, with ground truth; no download",
            weights_licence="Apache-2.0 (generated; the voices by hibari-tts)",
        ),
        Component(
            kind="corpus",
            name="union",
            target="vast_corpora.union:UnionCorpus",
            config=UnionConfig,
            summary="several corpora together, each drawn in training by its weight",
        ),
    ]
