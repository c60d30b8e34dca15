"""Declarations of the metrics by networks that the user brings; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from vast_core import Component

from ..config import CSIMConfig, EmotionAccuracyConfig, FVDConfig, LipReadingConfig

_HERE = __name__.rpartition(".")[0]


def network_components() -> Iterator[Component]:
    """The components."""
    yield Component(
        kind="metric",
        name="csim",
        target=f"{_HERE}.csim:CSIM",
        config=CSIMConfig,
        summary="cosine similarity of the person's identity in drawn and real frames, by the user's network",
        reference="Deng et al. 2019, ArcFace",
    )
    yield Component(
        kind="metric",
        name="emotion_accuracy",
        target=f"{_HERE}.emotion:EmotionAccuracy",
        config=EmotionAccuracyConfig,
        summary="share of clips that show the emotion that they should, by the user's network",
    )
    yield Component(
        kind="metric",
        name="lip_reading",
        target=f"{_HERE}.lip_reading:LipReading",
        config=LipReadingConfig,
        summary="similarity of what a lip reader makes of drawn and real mouths, by the user's network",
        reference="Filntisis et al. 2023, SPECTRE",
    )
    yield Component(
        kind="metric",
        name="fvd",
        target=f"{_HERE}.fvd:FVD",
        config=FVDConfig,
        summary="Frechet video distance, by the user's network",
        reference="Unterthiner et al. 2018",
    )
