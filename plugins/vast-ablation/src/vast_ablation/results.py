"""``ablation.json``: the varied factors of an ablation, its runs, and their measurements.

It is written again, atomically, whenever a run ends, so that it may be read while others are running. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import attrs

from vast_core.files import read_results, write_results

from .design import written

VERSION = 1
"""Format version of ``ablation.json``."""

FILE = "ablation.json"

Better = Literal["higher", "lower", "closer to 0", "neither"]
"""Direction in which a measure is better; ``neither`` if there is none, as for a KL divergence."""

State = Literal["done", "failed", "missing"]


@attrs.frozen(kw_only=True)
class MeasureKind:
    """Unit and direction of a measure."""

    better: Better
    unit: str = ""


@attrs.frozen(kw_only=True)
class RunResult:
    """One cell with one seed."""

    state: State = "missing"
    path: str
    """The run's folder, relative to that of the ablation."""
    seconds: float = 0.0
    """Seconds of its stages, including those executed by another run."""
    error: str = ""
    """Why it failed; empty otherwise."""
    measures: Mapping[str, float] = attrs.field(factory=dict)
    """Means over the clips that have the measure, by measure; empty unless finished."""
    clips: Mapping[str, Mapping[str, float]] = attrs.field(factory=dict)
    """Measures by clip. A pair of clip and style counts as a clip of its own, ``<clip> in <style>``."""
    left_out: tuple[str, ...] = ()
    """Measures that are not finite for at least one clip; they are not among the others."""


@attrs.frozen(kw_only=True)
class CellResult:
    """One combination of settings."""

    name: str
    """The settings as text, such as ``flow.use=planar flow.steps=4``."""
    settings: Mapping[str, Any]
    """The value of each factor that applies to the cell, by the key of the factor."""
    components: Mapping[str, str]
    """``name (distribution version)`` of each kind of component in its recipe."""
    recipe: str
    """Its resolved recipe with the first seed, relative to the folder; other seeds only differ in ``seed``."""
    runs: Mapping[int, RunResult]
    """By seed."""

    @property
    def done(self) -> Mapping[int, RunResult]:
        """Its finished runs, by seed."""
        return {seed: run for seed, run in self.runs.items() if run.state == "done"}


@attrs.frozen(kw_only=True)
class Ablation:
    """All of ``ablation.json``."""

    version: int = VERSION
    recipe: str
    """Name of the varied recipe."""
    base: str
    """Name of the cell with which all others are compared."""
    vary: Mapping[str, tuple[Any, ...]]
    """The values of each factor, by its key in the recipe."""
    seeds: tuple[int, ...]
    measures: Mapping[str, MeasureKind] = attrs.field(factory=dict)
    """All measures of all runs, by name."""
    cells: tuple[CellResult, ...]
    """The base cell first."""
    notes: tuple[str, ...] = ()
    """Omitted combinations and stages, with reasons."""

    @property
    def failures(self) -> list[tuple[str, str]]:
        """The failed runs, such as ``flow.use=planar, seed 1``, each with its error."""
        return [(title, run.error) for title, run in self._runs() if run.state == "failed"]

    @property
    def left_out(self) -> list[tuple[str, tuple[str, ...]]]:
        """The runs with omitted measures, each with their names."""
        return [(title, run.left_out) for title, run in self._runs() if run.left_out]

    def _runs(self) -> Iterator[tuple[str, RunResult]]:
        return ((f"{cell.name}, seed {seed}", run) for cell in self.cells for seed, run in cell.runs.items())

    @property
    def heading(self) -> str:
        """Heading for the names from :meth:`shown`: the end of the factor's key, or the section of several factors."""
        if len(self._telling) != 1:
            return "cell"
        section, _, option = self._telling[0].rpartition(".")
        return section if option == "use" else option

    @property
    def _telling(self) -> list[str]:
        """The factors with several values, which distinguish cells."""
        return [key for key, values in self.vary.items() if len(values) != 1] or [*self.vary]

    def shown(self, name: str) -> str:
        """A cell's name in a table: the value of a single factor; for several factors in one section, without the
        section; for several sections, without the stage of its options, if these have different names.

        Factors with one value are omitted, because they are the same in all cells.
        """
        for key in self.vary.keys() - self._telling:
            name = f" {name} ".replace(f" {key}={written(self.vary[key][0])} ", " ").strip() or name
        if len(self._telling) == 1:
            return name.partition("=")[2] or name
        sections = {key.rpartition(".")[0] for key in self._telling}
        section = f"{sections.pop()}." if len(sections) == 1 else ""
        if not section:
            options = [key.rpartition(".")[2] for key in self._telling]
            for key, option in zip(self._telling, options, strict=True):
                if key.startswith("stages.") and options.count(option) == 1:
                    name = f" {name}".replace(f" {key}=", f" {option}=").strip()
        return name.removeprefix(section).replace(f" {section}", " ") if section.strip(".") else name

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The results in an ablation's folder.

        Raises :class:`vast_core.errors.InputError` if there are none, or none that this version can read.
        """
        return read_results(folder / FILE, cls, VERSION, "vast ablate")

    def write(self, folder: Path) -> Path:
        """Write it into ``folder``, and return its path."""
        return write_results(folder / FILE, self)
