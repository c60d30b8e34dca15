"""The run directory: recipe, environment, records of the stages, and results.

``runs/<name>/`` has ``recipe.yaml`` (resolved), ``environment.json``, ``weights/*.safetensors``, ``checkpoints/``,
``metrics.jsonl``, ``samples/``, ``evaluation.json``, ``report.html`` and ``stages/*.json``. The key of a stage
is a digest of everything that its result depends on; a stage with an unchanged key does not run again.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .. import processes
from ..errors import InputError, StorageError
from ..files.atomic import force, remove_left, write_text
from ..media.opening import content_digest
from ..recipe.model import Recipe
from ..registry.registry import Registry
from .licences import chain, started
from .weights import save_weights

if TYPE_CHECKING:
    from torch import Tensor

RECIPE, ENVIRONMENT, METRICS = "recipe.yaml", "environment.json", "metrics.jsonl"
"""The resolved recipe of a run; the versions and the machine that it was made with; the losses of logged steps."""


def peak_memory_bytes() -> int:
    """Largest resident set size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def computed_on() -> str:
    """The device, on a CPU the number of threads, and the number of processes if there are several.

    Besides code and data, the bits of a result depend on these.
    """
    import torch

    cuda = torch.cuda.is_available()
    own = torch.cuda.get_device_name(0) if cuda else f"cpu, {torch.get_num_threads()} threads"
    return own if processes.count() == 1 else f"{own}, {processes.count()} processes"


def reproducible() -> str:
    """In words, whether the same run again gives the same bits, and if not, why."""
    import torch

    if torch.cuda.is_available():
        return "up to rounding: on a GPU, the order in which numbers are added differs from run to run"
    threads, several = f"{torch.get_num_threads()} threads", processes.count() > 1
    return (
        f"bit for bit, on such a processor with {threads}{f' in {processes.count()} processes' if several else ''}; "
        "with another number of them up to rounding, because numbers are added in another order"
    )


def _git_state(folder: Path) -> dict[str, str] | None:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": git("status", "--porcelain", "-uno")}
    except (OSError, subprocess.CalledProcessError):
        return None  # not a checkout, or no git: versions are recorded instead


def _installed() -> dict[str, str]:
    """Version of each distribution, by name."""
    read = [
        d.metadata for d in distributions()
    ]  # once each: every access to `d.name` or `d.version` parses the file again
    return {own["Name"]: own["Version"] for own in sorted(read, key=lambda own: own["Name"].lower())}


@attrs.define(eq=False)
class Run:
    """One run's directory, open for writing."""

    path: Path
    recipe: Recipe
    registry: Registry

    @property
    def weights(self) -> Path:
        """Folder of the trained weights."""
        return self.path / "weights"

    @property
    def checkpoints(self) -> Path:
        """Folder of the training states."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of the sample videos and pictures."""
        return self.path / "samples"

    def start(self) -> None:
        """Create the folder, write recipe and environment, and notify the plugins.

        The caller holds the folder's lock: what is half written there is of a run that was killed, and is removed.
        Raises :class:`StorageError` if the folder cannot be written, and :class:`InputError` if it has a recipe that is
        not from a run.
        """
        for folder in (self.path, self.weights, self.checkpoints, self.samples, self.path / "stages"):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"{folder}: cannot be created ({error.strerror}); choose another --out") from error
        remove_left(self.path, alone=True)
        recipe = self.path / RECIPE
        text = self.recipe.to_yaml()
        if recipe.is_file() and not (self.path / ENVIRONMENT).is_file() and recipe.read_bytes() != text.encode():
            raise InputError(f"{recipe}: is not from a run, and would be overwritten; choose another --out")
        write_text(recipe, text)
        write_text(self.path / ENVIRONMENT, json.dumps(self.environment(), indent=1))
        self.registry.notify("vast_run_started", run=self)

    def environment(self) -> dict[str, Any]:
        """Versions, plugins, device and git state."""
        return {
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": computed_on(),
            "reproducible": reproducible(),
            "git": _git_state(Path(__file__).parent),
            "components": self.components(),
            "distributions": _installed(),
        }

    def components(self) -> dict[str, str]:
        """``name (distribution version)`` of each kind in the recipe."""
        return self.recipe.components()

    def made_of(self) -> dict[str, Any]:
        """Components and licences, for the header of weights."""
        links = [*chain(self.recipe), *started(self.recipe, self.registry)]
        return {"components": self.components(), "licences": [attrs.asdict(link) for link in links]}

    # ------------------------------------------------------------------------------------------ stages

    def write_figures(self, stage: str, figures: Mapping[str, Any]) -> Path:
        """Save figures of ``stage``, serialisable as JSON; ``evaluation.json`` has them under ``stages``.

        Returns the file, which the stage must list among its files.
        """
        path = self.path / "stages" / f"{stage}.figures.json"
        write_text(path, json.dumps(figures, indent=1))
        return path

    def figures(self, stage: str) -> dict[str, Any]:
        """Figures that :meth:`write_figures` saved for ``stage``; empty if there are none."""
        path = self.path / "stages" / f"{stage}.figures.json"
        figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return figures

    def record(self, stage: str) -> dict[str, Any] | None:
        """The record of when ``stage`` last finished; None if it never did, or if the record is damaged."""
        path = self.path / "stages" / f"{stage}.json"
        if not path.is_file():
            return None
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            record["key"], record["files"]
        except (ValueError, KeyError, TypeError):
            warnings.warn(f"{path}: is damaged; the stage counts as not finished", stacklevel=2)
            return None
        return record

    def finished(self, stage: str, key: str) -> bool:
        """Whether ``stage`` finished with this key and its files still exist."""
        record = self.record(stage)
        return (
            record is not None
            and record["key"] == key
            and all(Path(self.path, file).exists() for file in record["files"])
        )

    def finish(self, stage: str, key: str, seconds: float, files: list[Path]) -> None:
        """Record that ``stage`` has written ``files``."""
        record = {
            "key": key,
            "seconds": round(seconds, 2),
            "peak_memory_bytes": peak_memory_bytes(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "files": [os.path.relpath(file, self.path) for file in files],
            "digests": {
                os.path.relpath(file, self.path): content_digest(file)
                for file in files
                if file.suffix == ".safetensors"
            },
        }
        write_text(self.path / "stages" / f"{stage}.json", json.dumps(record, indent=1))

    def drop_checkpoints(self, stage: str) -> None:
        """Remove the training states of a finished stage."""
        for file in self.checkpoints.glob(f"{stage}.*safetensors"):
            file.unlink()

    def keep(self, file: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], earlier: Path) -> None:
        """Write a training state to ``file``; the one that was there before stays as ``earlier``."""
        save_weights(file, tensors, header, earlier=earlier)

    def forget(self, stage: str, after: int) -> None:
        """Remove the log lines of ``stage`` with steps above ``after``, which will run again."""
        path = self.path / METRICS
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            if lines and not lines[-1].endswith("\n"):  # cut by a full disk or a crash
                lines.pop()
            records = [json.loads(line) for line in lines]
            kept = [line for line, r in zip(lines, records, strict=True) if r["stage"] != stage or r["step"] <= after]
            write_text(path, "".join(kept))

    def log(self, stage: str, step: int, losses: Mapping[str, float], seconds: float) -> None:
        """Append a line to ``metrics.jsonl`` and notify the plugins."""
        line = {
            "stage": stage,
            "step": step,
            "losses": dict(losses),
            "seconds": round(seconds, 3),
            "device": computed_on(),
        }
        path = self.path / METRICS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            force(path)  # a checkpoint that is written later must not outlive it in a power failure
        except OSError as error:
            raise StorageError(
                f"{path}: cannot be written ({error.strerror}); free some space, then continue with --resume"
            ) from error
        self.registry.notify("vast_step_end", step=step, losses=losses, run=self)
