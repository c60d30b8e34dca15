"""``eval.json``: what was measured, by which protocol, of which clips. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import attrs

from vast_core.files import read_results, write_results

FILE = "eval.json"
VERSION = 1
"""Of the form of ``eval.json``."""


@attrs.frozen(kw_only=True)
class MeasureOf:
    """What is known of a measure beside its values."""

    metric: str
    """The component that gives it."""
    provider: str
    """Distribution and version of that."""
    better: Literal["lower", "higher", "closer to 0", "neither"]
    unit: str = ""


@attrs.frozen(kw_only=True)
class Overall:
    """A measure over all clips."""

    value: float
    """The mean over clips, or what the metric makes of all clips together."""
    low: float | None
    high: float | None
    """Bootstrap over clips, or over speakers where they are many, 95 %; None where there are too few, or it cannot be
    resampled."""
    clips: int
    """How many it rests on."""


@attrs.frozen(kw_only=True)
class ClipResult:
    """One pair."""

    name: str
    speaker: str
    frames: int
    values: Mapping[str, float] = attrs.field(factory=dict)
    not_computed: Mapping[str, str] = attrs.field(factory=dict)
    """By metric, why."""
    generated: str | None = None
    reference: str | None = None
    """Videos of the crops that were compared, relative to the folder of ``eval.json``."""
    curves: Mapping[str, tuple[float, ...]] = attrs.field(factory=dict)
    """``generated`` and ``reference``: inner-lip opening over time."""
    notes: tuple[str, ...] = ()
    """How the generated video was brought onto its reference, and what else was decided, in words."""


@attrs.frozen(kw_only=True)
class LeftOut:
    """A clip that could not be measured, and why."""

    clip: str
    reason: str


@attrs.frozen(kw_only=True)
class Evaluation:
    """All of ``eval.json``."""

    version: int = VERSION
    vast: str
    protocol: str
    """Its name, such as ``v1``."""
    digest: str
    """SHA-256 of the protocol, with the face and audio components and the weights that it names."""
    generated: str
    """What was measured: a run's name, or a folder."""
    reference: str
    geometry: Literal["tracked", "model"]
    """Whether both sides were tracked in their videos, or the run's own vertices stand against the prepared ones."""
    fps: float
    measures: Mapping[str, MeasureOf]
    """By name, in the protocol's order."""
    overall: Mapping[str, Overall]
    not_computed: Mapping[str, str]
    """By metric, why no clip has it."""
    clips: tuple[ClipResult, ...]
    left_out: tuple[LeftOut, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What an evaluation has left in its folder.

        Raises :class:`vast_core.errors.InputError` where there is none, or none that this version understands.
        """
        return read_results(folder / FILE, cls, VERSION, "vast eval")

    def write(self, folder: Path) -> Path:
        """Write it into ``folder``; gives the file."""
        return write_results(folder / FILE, self)
