"""The training loop of all stages; it minimises objectives without knowing their meaning.

A step gets its batch by number and minimises the stage's objectives one after another, each over its own parameters.
Batches and noise depend only on the step's number. Therefore, on a CPU, a run that was stopped and resumed ends with
the same bits as an uninterrupted one.

A batch may be computed in equal parts: one after another (``accumulate``), and by several processes at once
(:mod:`vast_core.processes`). Gradients are then averaged before the optimiser steps. Since parts draw their rows of the
whole batch's random numbers, the losses are those of one process, up to rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from .. import processes
from ..device import autocast
from ..errors import Interrupted, VastError, WeightsError
from ..interfaces import Objective
from ..registry.core_stages import TrainingStage
from ..runs.directory import Run, computed_on
from ..runs.weights import load_into, load_weights
from ..stopping import deferred
from .parts import Part, SharedDraws

Batch = TypeVar("Batch")


class Diverged(VastError):
    """A loss is not a finite number."""


@attrs.define(eq=False)
class Trainer(Generic[Batch]):
    """Trains ``model`` in place and leaves its exponential moving average in it.

    ``batch_at(step, part)`` draws a part of the batch of a step; ``objectives(batch, progress)`` yields the losses to
    minimise. A loss should be a mean over rows; see :func:`vast_core.processes.everywhere` for others. In several
    processes the whole stage runs in each; after :meth:`fit`, only the leading one (:func:`vast_core.processes.leads`)
    may write.
    """

    run: Run
    stage: str
    key: str
    """The stage's key; a checkpoint with another key is not resumed."""
    model: nn.Module
    settings: TrainingStage
    batch_at: Callable[[int, Part], Batch]
    objectives: Callable[[Batch, float], Iterator[Objective]]
    device: torch.device
    console: Console
    betas: tuple[float, float] = (0.9, 0.999)
    _optimisers: dict[str, torch.optim.Optimizer] = attrs.field(init=False, factory=dict)
    _schedulers: dict[str, CosineLRScheduler] = attrs.field(init=False, factory=dict)
    _saved: dict[str, Tensor] = attrs.field(init=False, factory=dict)
    """What a checkpoint holds of optimisers, which are made when their objectives come."""

    @property
    def checkpoint(self) -> Path:
        """File of the training state; it stays until the stage has finished."""
        return self.run.checkpoints / f"{self.stage}.safetensors"

    @property
    def earlier_checkpoint(self) -> Path:
        """File of the training state before that, which is used if the last one is damaged."""
        return self.run.checkpoints / f"{self.stage}.earlier.safetensors"

    def fit(self, resume: bool) -> None:
        """Train to the last step, or go on from the checkpoint, which any number of processes may have written.

        Raises :class:`Interrupted` after Ctrl-C, SIGTERM or SIGHUP, :class:`Diverged` if a loss is not finite, and
        :class:`vast_core.errors.StorageError` if the state cannot be written.
        """
        for part in self._parts():
            part.rows(self.settings.batch, f"stages.{self.stage}.batch")
        self.model.to(self.device).train()
        processes.made_equal(self.model)
        # timm's warm-up of the decay: in short runs, too, the average forgets the initial weights
        average = ModelEmaV3(self.model, decay=self.settings.ema, use_warmup=True, warmup_power=3 / 4)
        step = self._restore(average) if resume else 0
        if processes.leads():
            self.run.forget(self.stage, after=step)
        steps = self.settings.steps
        began, first = time.perf_counter(), step
        with deferred() as asked, self._progress() as progress:
            bar = progress.add_task(self.stage, total=steps, completed=step, losses="")
            while step < steps:
                losses = self._step(step)
                step += 1
                average.update(self.model, step=step)
                rate = (step - first) / (time.perf_counter() - began)
                if step % self.settings.log_every == 0 or step == steps:
                    means = processes.average([float(value) for value in losses.values()])
                    values = dict(zip(losses, means, strict=True))
                    self._refuse_nan(values, step)
                    if processes.leads():
                        self.run.log(self.stage, step, values, time.perf_counter() - began)
                    shown = "  ".join(f"{n.rpartition('/')[2]} {v:.3g}" for n, v in list(values.items())[:5])
                    progress.update(bar, losses=f"{rate:.1f} steps/s  {shown}")
                progress.update(bar, completed=step)
                if number := processes.largest(asked()):
                    self._save(average, step)
                    raise Interrupted(
                        number,
                        f"stopped after step {step} of {steps} of stage {self.stage!r}, its state is in "
                        f"{self.checkpoint}; the same command with --resume goes on from there",
                    )
                if step % self.settings.checkpoint_every == 0 and step < steps:
                    self._save(average, step)
        self.model.load_state_dict(average.module.state_dict())
        self.model.eval()
        self._seed(steps)  # what the stage draws next is the same if the last step was taken before a resume

    def _parts(self) -> list[Part]:
        """The parts of each batch that this process computes."""
        own = self.settings.accumulate
        return [Part(processes.rank() * own + number, processes.count() * own) for number in range(own)]

    def _step(self, step: int) -> dict[str, Tensor]:
        self._seed(step)
        progress = step / self.settings.steps
        games = [(part, iter(self.objectives(self.batch_at(step, part), progress))) for part in self._parts()]
        losses: dict[str, Tensor] = {}
        while objective := self._gradients(games, losses):
            processes.average_gradients(objective.parameters)
            norm = nn.utils.clip_grad_norm_(objective.parameters, self.settings.clip_norm)
            if objective.name in self._schedulers:
                self._schedulers[objective.name].step_update(step)
            self._optimiser(objective).step()
            losses[f"{self.stage}/{objective.name}/gradient_norm"] = norm
        return losses

    def _gradients(self, games: list[tuple[Part, Iterator[Objective]]], losses: dict[str, Tensor]) -> Objective | None:
        """Compute the gradients of the next objective, mean over the parts; None if there is no further objective."""
        objective, before = None, _random_state(self.device)
        for number, (part, game) in enumerate(games):
            if number:
                _set_random_state(self.device, before)  # each part draws the numbers of the whole batch
            # autocast applies to the objective's computation, not to the optimiser
            with autocast(self.device), SharedDraws(part) if part.of > 1 else nullcontext():
                objective = next(game, None)
            if objective is None:
                return None
            if not number:
                self._optimiser(objective).zero_grad(set_to_none=True)
            (objective.loss / len(games)).backward()  # type: ignore[no-untyped-call]
            for name, value in {"loss": objective.loss, **objective.terms}.items():
                logged = f"{self.stage}/{objective.name}/{name}"
                losses[logged] = losses.get(logged, torch.zeros_like(value)) + value.detach() / len(games)
        return objective

    def _seed(self, step: int) -> None:
        torch.manual_seed(self.run.recipe.seed * 1_000_003 + step)

    def _optimiser(self, objective: Objective) -> torch.optim.Optimizer:
        if objective.name not in self._optimisers:
            parameters = list(objective.parameters)
            if objective.optimiser is None:
                optimiser = self._stage_optimiser(objective.name, parameters)
            else:
                optimiser = objective.optimiser(parameters)
            self._restore_optimiser(objective.name, optimiser)
            self._optimisers[objective.name] = optimiser
        return self._optimisers[objective.name]

    def _stage_optimiser(self, objective: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW by the stage's options, with its warm-up and cosine."""
        settings = self.settings
        optimiser = torch.optim.AdamW(
            parameters, lr=settings.learning_rate, betas=self.betas, weight_decay=settings.weight_decay
        )
        self._schedulers[objective] = CosineLRScheduler(
            optimiser,
            t_initial=settings.steps,
            lr_min=0.02 * settings.learning_rate,
            warmup_t=min(settings.warmup, settings.steps // 5),
            warmup_lr_init=1e-6,
            t_in_epochs=False,
        )
        return optimiser

    def _refuse_nan(self, values: Mapping[str, float], step: int) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise Diverged(
                f"step {step} of stage {self.stage!r}: {', '.join(bad)} is no finite number; lower "
                f"stages.{self.stage}.learning_rate (now {self.settings.learning_rate:g}) or clip_norm"
            )

    # ------------------------------------------------------------------------------------- checkpoints

    def _save(self, average: ModelEmaV3, step: int) -> None:
        if not processes.leads():
            return
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in average.module.state_dict().items()}
        for objective, optimiser in self._optimisers.items():
            for parameter, state in optimiser.state.items():
                for what, value in state.items():
                    if value is not None:
                        tensors[f"optimiser/{objective}/{what}/{names[parameter]}"] = torch.as_tensor(value)
        header = {"stage": self.stage, "key": self.key, "step": step, "device": computed_on()}
        self.run.keep(self.checkpoint, tensors, header, earlier=self.earlier_checkpoint)

    def _restore(self, average: ModelEmaV3) -> int:
        """The step of the last checkpoint that is whole, whose state is loaded; 0 if there is none."""
        for file in filter(Path.is_file, (self.checkpoint, self.earlier_checkpoint)):
            try:
                tensors, header = load_weights(file, str(self.device))
            except WeightsError as error:
                before = " The state before it is used." if file == self.checkpoint else ""
                self.console.print(f"{error}.{before}", style="yellow")
                continue
            if header.get("key") != self.key:
                self.console.print(
                    f"{file} is of another recipe, other data or other code; starting afresh", style="yellow"
                )
                return 0
            return self._load_state(average, tensors, header, file)
        return 0

    def _load_state(
        self, average: ModelEmaV3, tensors: Mapping[str, Tensor], header: Mapping[str, Any], file: Path
    ) -> int:
        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

        load_into(self.model, part("model/"), file)
        load_into(average.module, part("average/"), file)
        self._saved = part("optimiser/")
        step: int = header["step"]
        self.console.print(f"resuming stage {self.stage!r} at step {step}")
        if (made := header.get("device")) != (here := computed_on()):
            self.console.print(
                f"it was begun on {made}, and goes on on {here}: the weights will be the same up to rounding, not bit "
                "for bit",
                style="yellow",
            )
        return step

    def _restore_optimiser(self, objective: str, optimiser: torch.optim.Optimizer) -> None:
        """Give a new optimiser the state that a checkpoint holds of it, if any."""
        parameters = dict(self.model.named_parameters())
        for key in [key for key in self._saved if key.startswith(f"{objective}/")]:
            what, _, name = key.removeprefix(f"{objective}/").partition("/")
            value = self._saved.pop(key)
            # step counters are kept on the CPU
            optimiser.state[parameters[name]][what] = value if value.dim() else value.cpu()

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description:>9}", style="bold", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            # takes the rest of the line: on a narrow terminal the losses are cut, not the bar
            TextColumn(
                "{task.fields[losses]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            console=self.console,
            refresh_per_second=4,
            expand=True,
        )


def _random_state(device: torch.device) -> list[Tensor]:
    """States of the generators of the CPU and of ``device``."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_random_state(device: torch.device, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)
