"""``ablation.json``: what an ablation varies, which runs it consists of, and what each of them measured.

It is written again whenever a run ends, whole or not at all, so that it may be read while others are under way.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import attrs

from vast_core.files import read_results, write_results

from .design import written

VERSION = 1
"""Of the form of ``ablation.json``."""

FILE = "ablation.json"

Better = Literal["higher", "lower", "closer to 0", "neither"]
"""Which way a measure is better; of some, such as a KL divergence, it cannot be said."""

State = Literal["done", "failed", "missing"]


@attrs.frozen(kw_only=True)
class Measure:
    """What is known of a measure beside its values."""

    better: Better
    unit: str = ""


@attrs.frozen(kw_only=True)
class RunResult:
    """One cell with one seed."""

    state: State = "missing"
    path: str
    """The run's folder, relative to that of the ablation."""
    seconds: float = 0.0
    """That its stages took, those included that another run has done for it."""
    error: str = ""
    """Why it failed; empty otherwise."""
    measures: Mapping[str, float] = attrs.field(factory=dict)
    """Means over the clips that have the measure, by measure; empty unless done."""
    clips: Mapping[str, Mapping[str, float]] = attrs.field(factory=dict)
    """Measures by clip. A pair of clip and style counts as a clip of its own, ``<clip> in <style>``."""
    left_out: tuple[str, ...] = ()
    """Measures that are no finite number, of some clip at least; they are not among the others."""


@attrs.frozen(kw_only=True)
class CellResult:
    """One combination of settings."""

    name: str
    """The settings as they are written, such as ``flow.use=planar flow.steps=4``."""
    settings: Mapping[str, Any]
    """The value of each factor that applies to it, by the factor's key."""
    components: Mapping[str, str]
    """``name (distribution version)`` of each kind of component in its recipe."""
    recipe: str
    """Its resolved recipe with the first seed, relative to the folder; the other seeds differ in ``seed`` alone."""
    runs: Mapping[int, RunResult]
    """By seed."""

    @property
    def done(self) -> Mapping[int, RunResult]:
        """Those of its runs that have been done, by seed."""
        return {seed: run for seed, run in self.runs.items() if run.state == "done"}


@attrs.frozen(kw_only=True)
class Ablation:
    """All of ``ablation.json``."""

    version: int = VERSION
    recipe: str
    """Name of the recipe that is varied."""
    base: str
    """Name of the cell that all others are compared with."""
    vary: Mapping[str, tuple[Any, ...]]
    """The values of each factor, by its key in the recipe."""
    seeds: tuple[int, ...]
    measures: Mapping[str, Measure] = attrs.field(factory=dict)
    """Every measure that some run has, by name."""
    cells: tuple[CellResult, ...]
    """The base cell first."""
    notes: tuple[str, ...] = ()
    """Combinations left out, and why; stages left out, and why."""

    @property
    def failures(self) -> list[tuple[str, str]]:
        """The runs that failed, such as ``flow.use=planar, seed 1``, each with its error."""
        return [(title, run.error) for title, run in self._runs() if run.state == "failed"]

    @property
    def left_out(self) -> list[tuple[str, tuple[str, ...]]]:
        """The runs of which measures are left out, each with their names."""
        return [(title, run.left_out) for title, run in self._runs() if run.left_out]

    def _runs(self) -> Iterator[tuple[str, RunResult]]:
        return ((f"{cell.name}, seed {seed}", run) for cell in self.cells for seed, run in cell.runs.items())

    @property
    def heading(self) -> str:
        """What the names of :meth:`shown` are of: the end of the factor's key, or its section, where there is one."""
        if len(self._telling) != 1:
            return "cell"
        section, _, option = self._telling[0].rpartition(".")
        return section if option == "use" else option

    @property
    def _telling(self) -> list[str]:
        """The factors that tell cells apart: those of several values."""
        return [key for key, values in self.vary.items() if len(values) != 1] or [*self.vary]

    def shown(self, name: str) -> str:
        """A cell's name in a table: of a single factor the value, of several in one section without that.

        Factors of one value are in no name, as they are the same in all cells.
        """
        for key in self.vary.keys() - self._telling:
            name = f" {name} ".replace(f" {key}={written(self.vary[key][0])} ", " ").strip() or name
        if len(self._telling) == 1:
            return name.partition("=")[2] or name
        sections = {key.rpartition(".")[0] for key in self._telling}
        section = f"{sections.pop()}." if len(sections) == 1 else ""
        return name.removeprefix(section).replace(f" {section}", " ") if section.strip(".") else name

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What an ablation has left in its folder.

        Raises :class:`vast_core.errors.InputError` where there is none, or none that this version understands.
        """
        return read_results(folder / FILE, cls, VERSION, "vast ablate")

    def write(self, folder: Path) -> Path:
        """Write it into ``folder``; gives the file."""
        return write_results(folder / FILE, self)
