"""Verify a run: its files are those that its stages wrote, and a repeated training step has the same losses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from torch import Tensor

from .console import Terminal
from .errors import InputError, Interrupted, VastError, WeightsError
from .media.opening import content_digest
from .pipeline import assemble
from .recipe.loading import load_recipe
from .registry.registry import Registry
from .runs.directory import METRICS, RECIPE, Run, computed_on
from .runs.lock import held
from .runs.weights import DIGEST, load_weights
from .stages.context import StageContext

__all__ = [
    "Check",
    "verify",
]


@attrs.frozen
class Check:
    """One thing that was verified."""

    what: str
    """A file below the run's folder, or a training stage."""
    right: bool | None
    """None if it could not be verified."""
    found: str
    """In words."""


def verify(path: Path, registry: Registry) -> Iterator[Check]:
    """Check the weights and training states of a run, then repeat each training stage up to its first logged step.

    Writes nothing into the run. The repeated losses must have the same bits. They can only be compared if the step was
    computed on a CPU, with as many threads and processes as here.

    Raises :class:`InputError` if ``path`` is not a run's folder or if another process works in it,
    :class:`vast_core.errors.RecipeError` if its recipe cannot be read, and :class:`vast_core.errors.Interrupted` if a
    signal asks to stop.
    """
    if not (path / RECIPE).is_file():
        raise InputError(f"{path}: not the folder of a run: there is no {RECIPE}; give a folder that `vast run` wrote")
    run = _Repeated(path, load_recipe(path / RECIPE, registry), registry)
    with held(path):
        yield from _files(run)
        for stage, line in _first_lines(path / METRICS).items():
            yield _repeat(run, stage, line)


def _files(run: Run) -> Iterator[Check]:
    recorded: dict[str, str] = {}
    for spec in run.recipe.run:
        recorded |= (run.record(spec.name) or {}).get("digests", {})
    found = sorted(file for folder in (run.weights, run.checkpoints) for file in folder.glob("*.safetensors"))
    names = [file.relative_to(run.path).as_posix() for file in found]
    yield from (Check(name, False, "is missing") for name in sorted(recorded.keys() - set(names)))
    for name, file in zip(names, found, strict=True):
        try:
            header = load_weights(file)[1]
        except WeightsError as error:
            yield Check(name, False, str(error))
            continue
        if name in recorded and content_digest(file) != recorded[name]:
            yield Check(name, False, "is not the file that the stage wrote: its digest differs")
        elif name in recorded or DIGEST in header:
            yield Check(name, True, "has its digest")
        else:
            yield Check(name, None, "has no digest; it was written by an older vast")


def _first_lines(metrics: Path) -> dict[str, Mapping[str, Any]]:
    """The first logged step of each training stage, by stage."""
    lines: dict[str, Mapping[str, Any]] = {}
    if metrics.is_file():
        for text in metrics.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # the end of a run that was stopped
                line = json.loads(text)
                lines.setdefault(line["stage"], line)
    return lines


def _repeat(run: Run, stage: str, line: Mapping[str, Any]) -> Check:
    """Repeat a stage until it logs; its losses must be those of ``line``."""
    context = StageContext(run=run, pipeline=assemble(run.recipe, run.registry), console=Terminal(quiet=True))
    what, step = f"stage {stage}", line["step"]
    spec = next((spec for spec in run.recipe.run if spec.name == stage), None)
    record = run.record(stage)
    if spec is None:
        return Check(what, None, "is not in the recipe any more")
    if reason := _incomparable(line):
        return Check(what, None, f"not comparable: {reason}")
    if record is not None and record["key"] != context.key(stage):
        return Check(what, None, "its recipe, data or code have changed since; `vast run` runs it again")
    try:
        spec.load().run(context)
    except _Reached as reached:
        if (reached.step, reached.losses) == (step, line["losses"]):
            return Check(what, True, f"step {step}, repeated, has the same losses, bit for bit")
        apart = max((abs(reached.losses.get(name, float("inf")) - loss) for name, loss in line["losses"].items()))
        return Check(what, False, f"step {step}, repeated, has other losses, by up to {apart:.3g}")
    except Interrupted as error:
        raise Interrupted(error.number, f"stopped while {what} was repeated; the run is as it was") from error
    except VastError as error:
        return Check(what, None, f"cannot be repeated: {error}")
    return Check(what, None, "logged nothing when it was repeated")


def _incomparable(line: Mapping[str, Any]) -> str | None:
    """Why the losses of a logged step need not have the same bits here; None if they must."""
    made, here = line.get("device"), computed_on()
    if made is None:
        return "its log does not say on what it was computed"
    if made != here:
        return f"it was computed on {made}, this is {here}; numbers are added in another order"
    if not here.startswith("cpu"):
        return f"it was computed on {made}, and on a GPU the order in which numbers are added differs from run to run"
    return None


class _Reached(Exception):
    """A repeated stage has logged its first step."""

    def __init__(self, step: int, losses: dict[str, float]) -> None:
        super().__init__()
        self.step, self.losses = step, losses


@attrs.define(eq=False)
class _Repeated(Run):
    """A run that is only read: no state is kept, and the first line of the log ends what is repeated."""

    def keep(self, file: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], earlier: Path) -> None:
        """Nothing: the run's own states stay."""

    def forget(self, stage: str, after: int) -> None:
        """Nothing: the log stays."""

    def log(self, stage: str, step: int, losses: Mapping[str, float], seconds: float) -> None:
        """End the stage."""
        raise _Reached(step, dict(losses))
