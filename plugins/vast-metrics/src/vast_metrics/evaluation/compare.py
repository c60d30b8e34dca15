"""Compare systems with a first one, clip by clip: paired differences, their intervals and tests. Imports no torch.

The test flips signs: if neither system were better, each difference could equally have the opposite sign, so p is the
share of all 2^n choices of signs whose mean difference is as far from 0 (Fisher 1935, section 21). It tests the mean
that is reported, whereas Wilcoxon's test uses ranks; it is exact for few clips, and assumes no normal distribution, as
Student's does. With many speakers, all clips of a speaker are flipped together, as in
:mod:`~vast_metrics.evaluation.bootstrap`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import attrs
import cattrs
import numpy as np

from vast_core.errors import InputError
from vast_core.files import write_text
from vast_core.report import Evidence, evidence_of, holm

from .bootstrap import Unit, interval, unit_of, units
from .results import FILE as EVALUATION
from .results import ClipResult, Evaluation, MeasureOf
from .tables import SHORT

FILE = "compare.json"
RESAMPLES, SEED = 2000, 1
"""Bootstrap resamples and random seed of all intervals."""

FEWEST = 6
"""Minimum number of units for a test: with fewer, no choice of signs is as rare as one in twenty."""

ALL_SIGNS = 14
"""Maximum number of units for which all choices of signs are tried; otherwise ``SIGNS`` random ones."""

SIGNS = 20_000


@attrs.frozen(kw_only=True)
class System:
    """One of the compared evaluations."""

    name: str
    folder: str
    clips: int
    """Number of clips on which it was measured."""


@attrs.frozen(kw_only=True)
class Difference:
    """One system compared with the first in one measure, over their common clips."""

    system: str
    first_mean: float
    mean: float
    difference: float
    """Mean over clips, this system minus the first; of absolute values if closer to 0 is better."""
    low: float | None
    high: float | None
    """Bootstrap over ``unit``, 95 %; None if there are too few."""
    unit: Unit
    units: int
    p: float | None
    """Sign-flip test, two-sided; None below ``FEWEST`` units."""
    adjusted: float | None
    """``p`` with Holm's correction over the systems compared in this measure."""
    verdict: Evidence
    """``better`` or ``worse`` (``different`` if the measure has no direction) only if ``adjusted`` is below 0.05."""
    by_clip: Mapping[str, float]


@attrs.frozen(kw_only=True)
class MeasureComparison:
    """All systems in one measure."""

    name: str
    known: MeasureOf
    differences: tuple[Difference, ...]


@attrs.frozen(kw_only=True)
class Comparison:
    """All of ``compare.json``."""

    version: int = 1
    protocol: str
    digest: str
    geometry: str
    systems: tuple[System, ...]
    """The first one is the baseline of the comparison."""
    measures: tuple[MeasureComparison, ...]
    not_compared: Mapping[str, str]
    """Reasons by measure."""
    notes: tuple[str, ...]
    """Notes on which clips were compared."""

    @property
    def others(self) -> tuple[System, ...]:
        """All but the first."""
        return self.systems[1:]

    def write(self, folder: Path) -> Path:
        """Write ``compare.json`` into ``folder``, and return its path."""
        write_text(folder / FILE, json.dumps(cattrs.unstructure(self), indent=1) + "\n")
        return folder / FILE


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder, or of the run in that folder.

    Raises :class:`vast_core.errors.InputError` if there is none, or none that this version can read.
    """
    inside = folder / "eval"
    whole = not (folder / EVALUATION).is_file() and (inside / EVALUATION).is_file()
    return Evaluation.read(inside if whole else folder)


def compare(folders: Sequence[Path], only: Sequence[str] = ()) -> Comparison:
    """Compare each evaluation with the first, in all measures or only in ``only``.

    Raises :class:`vast_core.errors.InputError` if there are fewer than two, if they were not measured in the same way
    or have no common clips, or if a measure is unknown.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise InputError("give at least two different folders of evaluations")
    evaluations = [read_evaluation(folder) for folder in folders]
    _measured_alike(folders, evaluations)
    first, *others = evaluations
    names = _names(folders, evaluations)
    pairs = [_common(first, other, (names[0], name)) for other, name in zip(others, names[1:], strict=True)]
    chosen = _chosen(first, only)
    measures, why = [], {}
    for name in chosen:
        known = first.measures[name]
        found = _compared(name, known, {system: both for system, (both, _) in zip(names[1:], pairs, strict=True)})
        if found:
            measures.append(MeasureComparison(name=name, known=known, differences=found))
        else:
            why[name] = _why_not(name, dict(zip(names, evaluations, strict=True)))
    return Comparison(
        protocol=first.protocol,
        digest=first.digest,
        geometry=first.geometry,
        systems=tuple(
            System(name=name, folder=str(folder), clips=len(evaluation.clips))
            for name, folder, evaluation in zip(names, folders, evaluations, strict=True)
        ),
        measures=tuple(measures),
        not_compared=why,
        notes=tuple(note for _, notes in pairs for note in notes),
    )


def sign_flip_p(sums: Sequence[float]) -> float:
    """Two-sided p for the summed differences of n units: the share of sign choices with |sum| at least as large.

    All 2^n choices for n <= ``ALL_SIGNS``, otherwise (1 + hits) / (1 + ``SIGNS``) of random choices (Phipson & Smyth
    2010).
    """
    values = np.asarray(sums, float)
    seen = abs(values.sum()) * (1 - 1e-9)  # rounding must not separate a choice from its mirror image
    if len(values) <= ALL_SIGNS:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(values))))
        return float((np.abs(signs @ values) >= seen).mean())
    signs = np.random.default_rng(SEED).choice((-1.0, 1.0), size=(SIGNS, len(values)))
    return float((1 + (np.abs(signs @ values) >= seen).sum()) / (1 + SIGNS))


def _compared(
    name: str, known: MeasureOf, pairs: Mapping[str, Sequence[tuple[ClipResult, ClipResult]]]
) -> tuple[Difference, ...]:
    """Every system in one measure, without those that share no clip with the first."""
    found = []
    for system, both in pairs.items():
        having = [(one, other) for one, other in both if name in one.values and name in other.values]
        if having:
            found.append(_difference(system, name, known, having))
    tested = [own for own in found if own.p is not None]
    adjusted = dict(zip([own.system for own in tested], holm([own.p or 0.0 for own in tested]), strict=True))
    return tuple(
        attrs.evolve(own, adjusted=p, verdict=evidence_of(own.difference, p, known.better))
        for own in found
        for p in [adjusted.get(own.system)]
    )


def _difference(
    system: str, name: str, known: MeasureOf, having: Sequence[tuple[ClipResult, ClipResult]]
) -> Difference:
    size = abs if known.better == "closer to 0" else float
    first, own = (np.array([size(pair[side].values[name]) for pair in having]) for side in (0, 1))
    away = own - first
    away[np.abs(away) <= 1e-9 * np.maximum(np.abs(own), np.abs(first))] = 0.0  # equal up to rounding
    speakers = [clip.speaker for clip, _ in having]
    drawn = units(speakers)
    low, high = interval(away.tolist(), speakers, RESAMPLES, SEED)
    return Difference(
        system=system,
        first_mean=float(first.mean()),
        mean=float(own.mean()),
        difference=float(away.mean()),
        low=low,
        high=high,
        unit=unit_of(speakers),
        units=len(drawn),
        p=sign_flip_p([away[places].sum() for places in drawn]) if len(drawn) >= FEWEST else None,
        adjusted=None,
        verdict="not tested",
        by_clip={clip.name: float(value) for (clip, _), value in zip(having, away, strict=True)},
    )


def _measured_alike(folders: Sequence[Path], evaluations: Sequence[Evaluation]) -> None:
    """Raise InputError, listing how each was measured, if the numbers are not comparable."""
    if len({(own.digest, own.geometry) for own in evaluations}) == 1:
        return
    lines = []
    for folder, own in zip(folders, evaluations, strict=True):
        providers = ", ".join(sorted({known.provider for known in own.measures.values()}))
        lines.append(
            f"  {folder}: protocol {own.protocol} {own.digest[:SHORT]}, {own.geometry} geometry, vast {own.vast}, "
            f"metrics of {providers}"
        )
    raise InputError(
        "\n".join(["these were not measured in the same way, so their numbers cannot be compared:", *lines])
        + "\nmeasure them again with one protocol"
        + (", and all as videos (of a run: --tracked)" if len({own.geometry for own in evaluations}) > 1 else "")
    )


def _names(folders: Sequence[Path], evaluations: Sequence[Evaluation]) -> list[str]:
    """The names of what was measured, if they are distinct; otherwise the folders of the evaluations."""
    names = [evaluation.generated for evaluation in evaluations]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _common(
    first: Evaluation, other: Evaluation, names: tuple[str, str]
) -> tuple[list[tuple[ClipResult, ClipResult]], list[str]]:
    """The common clips, and notes on them."""
    own = {clip.name: clip for clip in other.clips}
    both = [(clip, own[clip.name]) for clip in first.clips if clip.name in own]
    same = [pair for pair in both if _same_reference(*pair)]
    if not same:
        raise InputError(f"{names[0]} and {names[1]} have no common clips: clips are matched by name and reference")
    notes = [f"{names[1]}: {len(same)} clips in common with {names[0]}, which has {len(first.clips)}"]
    if alone := len(other.clips) - len(both):
        notes.append(f"{names[1]}: {alone} clips that {names[0]} lacks are ignored")
    if strange := [clip.name for clip, other_clip in both if not _same_reference(clip, other_clip)]:
        notes.append(f"{names[1]}: not compared, because their references differ: {', '.join(strange)}")
    if uneven := [clip.name for clip, other_clip in same if clip.frames != other_clip.frames]:
        notes.append(f"{names[1]}: compared over a different number of frames than in {names[0]}: {', '.join(uneven)}")
    return same, notes


def _same_reference(one: ClipResult, other: ClipResult) -> bool:
    """Whether the lips of both references move equally, tested if they have the same number of frames."""
    left, right = one.curves.get("reference", ()), other.curves.get("reference", ())
    if len(left) != len(right) or one.frames != other.frames:
        return True
    return bool(np.allclose(left, right, atol=2e-3))


def _chosen(first: Evaluation, only: Sequence[str]) -> list[str]:
    known = list(first.measures)
    for name in only:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"--measures: no measure is called {name!r}{hint} (the protocol has {', '.join(known)})")
    return [name for name in known if not only or name in only]


def _why_not(name: str, evaluations: Mapping[str, Evaluation]) -> str:
    found: dict[str, list[str]] = {}
    for system, evaluation in evaluations.items():
        if name not in evaluation.overall:
            # the first line of a reason says what is missing, the others how to get it
            why = evaluation.not_computed.get(evaluation.measures[name].metric, "no clip has it").splitlines()[0]
            found.setdefault(why, []).append(system)
        elif not any(name in clip.values for clip in evaluation.clips):
            return "it is computed from all clips together, and has no value per clip"
    told = [f"not computed for {' and '.join(systems)}, because {why}" for why, systems in found.items()]
    return "; ".join(told) or "no clip has it on both sides"
