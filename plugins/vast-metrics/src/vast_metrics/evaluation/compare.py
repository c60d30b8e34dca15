"""Evaluations of several systems, held against the first one on the clips that all of them have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs
import cattrs

import vast_core
from vast_core.atomic import write_text
from vast_core.errors import InputError

from .bootstrap import Unit, unit_of
from .paired import Difference, differences
from .results import FILE, ClipResult, Evaluation, MeasureOf
from .tables import SHORT, as_csv

JSON, CSV = "compare.json", "compare.csv"
VERSION = 1
"""Of the form of ``compare.json``."""


@attrs.frozen(kw_only=True)
class Row:
    """A system in a measure."""

    system: str
    mean: float
    """Over the common clips; of absolute values where closer to 0 is better."""
    difference: Difference | None
    """None of the first system."""


@attrs.frozen(kw_only=True)
class MeasureTable:
    """A measure of all systems that have it, the first one first."""

    name: str
    measure: MeasureOf
    clips: int
    """How many have a value in every system."""
    unit: Unit
    """What was drawn and flipped."""
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Name, unit, direction, and number of clips."""
        better = "neither is better" if self.measure.better == "neither" else f"{self.measure.better} is better"
        count = f"{self.clips} clip{'s' * (self.clips != 1)}"
        return f"{self.name} ({', '.join(filter(None, [self.measure.unit, better, count]))})"


@attrs.frozen(kw_only=True)
class Comparison:
    """All of ``compare.json``."""

    version: int = VERSION
    vast: str
    protocol: str
    digest: str
    geometry: Literal["tracked", "model"]
    systems: Mapping[str, str]
    """What each name stands for; the first is what all others are held against."""
    clips: tuple[str, ...]
    """That every system has."""
    speakers: int
    only_some: Mapping[str, tuple[str, ...]]
    """By system, its clips that another one lacks."""
    measures: tuple[MeasureTable, ...]
    not_compared: Mapping[str, str]
    """By measure, why."""

    @property
    def base(self) -> str:
        """The first system."""
        return next(iter(self.systems))

    def write(self, folder: Path) -> list[Path]:
        """Write ``compare.json`` and ``compare.csv`` into ``folder``; gives the files."""
        write_text(folder / JSON, json.dumps(cattrs.unstructure(self), indent=1) + "\n")
        write_text(folder / CSV, as_csv(_lines(self)))
        return [folder / JSON, folder / CSV]


def read_all(folders: Sequence[Path]) -> dict[str, Evaluation]:
    """Evaluations by name: a folder's own where that is unique, else its path. Runs stand for their ``eval`` folder.

    Raises :class:`vast_core.errors.InputError` where there is no evaluation, one is named twice, or two were made by
    different protocols or of different geometry.
    """
    places = [_place(folder) for folder in folders]
    ends = [folder.resolve().name for folder in folders]
    names = [end if ends.count(end) == 1 else str(folder) for end, folder in zip(ends, folders, strict=True)]
    for number, place in enumerate(places):
        if place.resolve() in [earlier.resolve() for earlier in places[:number]]:
            raise InputError(f"{folders[number]}: is named twice")
    found = {name: Evaluation.read(place) for name, place in zip(names, places, strict=True)}
    (first, base), *others = found.items()
    for name, own in others:
        if own.digest != base.digest:
            raise InputError(
                f"{name} was measured by protocol {own.protocol} {own.digest[:SHORT]}, {first} by {base.protocol} "
                f"{base.digest[:SHORT]}: their numbers cannot be compared; run `vast eval` on both with one protocol"
            )
        if own.geometry != base.geometry:
            raise InputError(
                f"{name} has geometry {own.geometry!r}, {first} {base.geometry!r}: their numbers cannot be compared; "
                "for a run, `vast eval --tracked` measures its videos as any system's"
            )
    return found


def _place(folder: Path) -> Path:
    for place in (folder, folder / "eval"):
        if (place / FILE).is_file():
            return place
    others = sorted(path.parent.name for path in folder.glob(f"eval-*/{FILE}"))
    hint = f"name {' or '.join(str(folder / other) for other in others)}" if others else f"run `vast eval {folder}`"
    raise InputError(f"{folder}: holds no {FILE}, neither does its folder eval; {hint}")


def compare(evaluations: Mapping[str, Evaluation]) -> Comparison:
    """Hold all systems against the first one.

    Raises :class:`vast_core.errors.InputError` where they have no clip in common.
    """
    by_clip = {name: {clip.name: clip for clip in own.clips} for name, own in evaluations.items()}
    (first, base), *_ = evaluations.items()
    common = [clip for clip in by_clip[first] if all(clip in own for own in by_clip.values())]
    if not common:
        raise InputError(f"{', '.join(evaluations)}: no clip is in all of them; clips are paired by their names")
    tables: list[MeasureTable] = []
    not_compared: dict[str, str] = {}
    for name in dict.fromkeys(name for own in evaluations.values() for name in own.measures):
        found = _table(name, evaluations, {system: [own[clip] for clip in common] for system, own in by_clip.items()})
        if isinstance(found, str):
            not_compared[name] = found
        else:
            tables.append(found)
    return Comparison(
        vast=vast_core.__version__,
        protocol=base.protocol,
        digest=base.digest,
        geometry=base.geometry,
        systems={name: f"{own.generated} against {own.reference}" for name, own in evaluations.items()},
        clips=tuple(common),
        speakers=len({by_clip[first][clip].speaker for clip in common}),
        only_some={name: rest for name, own in by_clip.items() if (rest := tuple(set_apart(own, common)))},
        measures=tuple(tables),
        not_compared=not_compared,
    )


def set_apart(clips: Mapping[str, ClipResult], common: Sequence[str]) -> Iterator[str]:
    """The clips that are not ``common``, in their order."""
    known = set(common)
    return (clip for clip in clips if clip not in known)


def _table(
    name: str, evaluations: Mapping[str, Evaluation], clips: Mapping[str, Sequence[ClipResult]]
) -> MeasureTable | str:
    """A measure of the common clips, or why it is not compared."""
    first = next(iter(evaluations))
    measure = evaluations[first].measures.get(name)
    if measure is None:
        return f"{first} was not asked for it"
    values = {
        system: found
        for system, own in clips.items()
        if (found := {clip.name: clip.values[name] for clip in own if name in clip.values})
    }
    if first not in values:
        whole = any(name in own.overall for own in evaluations.values())
        return "it is of all clips together, so nothing can be paired" if whole else f"{first} has no value of any clip"
    if len(values) == 1:
        return f"only {first} has values of the common clips"
    for system in values:
        own = evaluations[system].measures[name]
        if own != measure:
            return f"it is {measure} in {first}, but {own} in {system}: evaluate both with the same versions"
    shared = [clip for clip in values[first] if all(clip in own for own in values.values())]
    if not shared:
        return "no clip has a value in all systems"
    base, *others = ({clip: own[clip] for clip in shared} for own in values.values())
    speakers = {clip.name: clip.speaker for clip in clips[first]}
    found = differences(base, dict(zip(list(values)[1:], others, strict=True)), speakers, measure.better)
    size = abs if measure.better == "closer to 0" else float
    return MeasureTable(
        name=name,
        measure=measure,
        clips=len(shared),
        unit=unit_of([speakers[clip] for clip in shared]),
        rows=tuple(
            Row(
                system=system,
                mean=sum(size(own[clip]) for clip in shared) / len(shared),
                difference=found.get(system),
            )
            for system, own in values.items()
        ),
    )


def _lines(comparison: Comparison) -> Iterator[list[object]]:
    yield [
        *("measure", "system", "mean", "difference", "low", "high", "p", "p_holm", "verdict", "clips", "unit"),
        *("better", "metric", "provider", "protocol", "digest"),
    ]
    for table in comparison.measures:
        own = table.measure
        for row in table.rows:
            apart = row.difference
            numbers: list[object] = [None] * 6
            if apart is not None:
                numbers = [apart.mean, apart.low, apart.high, apart.p, apart.adjusted, apart.verdict]
            known = [own.unit, own.better, own.metric, own.provider, comparison.protocol, comparison.digest]
            yield [table.name, row.system, row.mean, *numbers, table.clips, *known]
