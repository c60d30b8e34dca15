"""``eval.json``: measurements, their protocol, and their clips. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import attrs

from vast_core.files import read_results, write_results

FILE = "eval.json"
VERSION = 1
"""Format version of ``eval.json``."""


@attrs.frozen(kw_only=True)
class MeasureOf:
    """Properties of a measure."""

    metric: str
    """The component that computes it."""
    provider: str
    """Its distribution and version."""
    better: Literal["lower", "higher", "closer to 0", "neither"]
    unit: str = ""


@attrs.frozen(kw_only=True)
class Overall:
    """A measure over all clips."""

    value: float
    """The mean over clips, or the metric's value for all clips together."""
    low: float | None
    high: float | None
    """Bootstrap over clips, or over speakers if there are many, 95 %; None if there are too few, or it cannot be
    resampled."""
    clips: int
    """Number of clips with a value."""
    moved: float | None = None
    """How far a mere re-encoding of the generated videos moves it; None if that was not measured."""


@attrs.frozen(kw_only=True)
class ClipResult:
    """One pair."""

    name: str
    speaker: str
    frames: int
    values: Mapping[str, float] = attrs.field(factory=dict)
    not_computed: Mapping[str, str] = attrs.field(factory=dict)
    """Reasons by metric."""
    generated: str | None = None
    reference: str | None = None
    """Videos of the compared crops, relative to the folder of ``eval.json``."""
    curves: Mapping[str, tuple[float, ...]] = attrs.field(factory=dict)
    """``generated`` and ``reference``: inner-lip opening over time."""
    notes: tuple[str, ...] = ()
    """Notes on the alignment of the generated video and other decisions."""


@attrs.frozen(kw_only=True)
class LeftOut:
    """A clip that could not be measured, and the reason."""

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
    """SHA-256 of the protocol, including its face and audio components and their weights."""
    generated: str
    """What was measured: the name of a run, or a folder."""
    reference: str
    geometry: Literal["tracked", "model"]
    """Whether both sides were tracked in videos, or the run's own vertices are compared with the prepared ones."""
    fps: float
    measures: Mapping[str, MeasureOf]
    """Measures by name, in the protocol's order."""
    overall: Mapping[str, Overall]
    not_computed: Mapping[str, str]
    """By metric, why no clip has a value."""
    clips: tuple[ClipResult, ...]
    left_out: tuple[LeftOut, ...] = ()
    reencoded: int = 0
    """Number of clips that were also measured re-encoded."""
    crf: int | None = None
    """Quality of that encoding, H.264."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The evaluation in a folder.

        Raises :class:`vast_core.errors.InputError` if there is none, or none that this version can read.
        """
        return read_results(folder / FILE, cls, VERSION, "vast eval")

    def write(self, folder: Path) -> Path:
        """Write it into ``folder``, and return its path."""
        return write_results(folder / FILE, self)
