"""The components of vast-audio, declared without importing torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import MelConfig, PpgConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="audio",
            name="mel",
            target="vast_audio.mel:Mel",
            config=MelConfig,
            summary="log energies in mel bands: depends on voice and microphone, needs no weights",
        ),
        Component(
            kind="audio",
            name="ppg",
            target="vast_audio.ppg:Ppg",
            config=PpgConfig,
            summary="posteriors of 39 phones and silence, by a small network in the package: what is said, not by whom",
            reference="Sun et al. 2016, Phonetic posteriorgrams for many-to-one voice conversion",
        ),
    ]
