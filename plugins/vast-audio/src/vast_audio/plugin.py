"""Declarations of vast-audio; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vast_core import Component, StageSpec, hookimpl

from .config import AcousticConfig, AcousticStage, MelConfig, PpgConfig, PpgWhisperConfig, Wav2Vec2Config

if TYPE_CHECKING:
    import click


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="audio",
            name="mel",
            target="vast_audio.mel:Mel",
            config=MelConfig,
            summary="log energies in mel bands; depends on voice and microphone, needs no weights",
        ),
        Component(
            kind="audio",
            name="ppg",
            target="vast_audio.ppg:Ppg",
            config=PpgConfig,
            summary="posteriors of 39 phones and silence by a small built-in network; nearly speaker-independent",
            reference="Sun et al. 2016, Phonetic posteriorgrams for many-to-one voice conversion",
            weights_licence="Apache-2.0 (trained on others' recordings, which NOTICE lists)",
        ),
        Component(
            kind="audio",
            name="acoustic",
            target="vast_audio.ppg:Acoustic",
            config=AcousticConfig,
            summary="activations under the posteriors of ppg, which lips follow better; depend a little on the voice",
            reference="Grezl et al. 2007, Probabilistic and bottle-neck features for LVCSR of meetings",
            weights_licence="Apache-2.0 (trained on others' recordings, which NOTICE lists)",
        ),
        Component(
            kind="audio",
            name="ppg_whisper",
            target="vast_audio.ppg_whisper:PpgWhisper",
            config=PpgWhisperConfig,
            summary="the same posteriors, better and slower, by a head on Whisper tiny.en; needs its encoder's weights",
            reference="Radford et al. 2022, Robust speech recognition via large-scale weak supervision",
            weights_licence="MIT (the encoder of Whisper; the head is Apache-2.0)",
        ),
        Component(
            kind="audio",
            name="wav2vec2",
            target="vast_audio.wav2vec2:Wav2Vec2",
            config=Wav2Vec2Config,
            summary="logits or a hidden layer of torchaudio's wav2vec 2.0, HuBERT or WavLM; needs their weights",
            reference="Baevski et al. 2020, wav2vec 2.0: a framework for self-supervised learning of speech",
            weights_licence="MIT (the bundles of torchaudio that are offered)",
        ),
    ]


@hookimpl
def vast_stages() -> Iterable[StageSpec]:
    """Declare the training stage of the acoustic model."""
    return [
        StageSpec(
            name="acoustic",
            target="vast_audio.acoustic_stage",
            config=AcousticStage,
            needs=("corpus",),
            summary="train the acoustic model of audio/ppg on a corpus of speech",
        ),
    ]


@hookimpl
def vast_commands(cli: click.Group) -> None:
    """Add ``vast ppg``."""
    from .commands import ppg

    cli.add_command(ppg)
