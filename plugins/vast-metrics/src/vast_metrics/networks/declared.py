"""Declarations of the metrics by networks that the user brings; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from vast_core import Component

from ..config import CSIMConfig, EmotionAccuracyConfig, FVDConfig, LipReadingConfig

_HERE = __name__.rpartition(".")[0]


def network_components() -> Iterator[Component]:
    """The components."""
    for name, target, config, summary, reference in (
        (
            "csim",
            "csim:CSIM",
            CSIMConfig,
            "cosine similarity of the person's identity in drawn and real frames",
            "Deng et al. 2019, ArcFace",
        ),
        (
            "emotion_accuracy",
            "emotion:EmotionAccuracy",
            EmotionAccuracyConfig,
            "share of clips that show the emotion that they should",
            "",
        ),
        (
            "lip_reading",
            "lip_reading:LipReading",
            LipReadingConfig,
            "similarity of what a lip reader makes of drawn and real mouths",
            "Filntisis et al. 2023, SPECTRE",
        ),
        ("fvd", "fvd:FVD", FVDConfig, "Frechet video distance", "Unterthiner et al. 2018"),
    ):
        yield Component(
            kind="metric",
            name=name,
            target=f"{_HERE}.{target}",
            config=config,
            summary=f"{summary}, by the user's network",
            reference=reference,
        )
