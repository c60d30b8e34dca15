"""Executes the runs of a plan with an engine, shows progress, and updates ``ablation.json``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from vast_core.errors import InputError, Interrupted
from vast_core.files import write_text
from vast_core.registry import Registry
from vast_core.stopping import exit_code

from .job import Engine, Job, Running
from .measures import read_measures
from .plan import Plan, PlannedRun
from .results import Ablation, CellResult, MeasureKind, RunResult

POLL_SECONDS = 0.2


@attrs.define(eq=False)
class Work:
    """A plan, its folder, and its progress."""

    plan: Plan
    folder: Path
    registry: Registry
    console: Console
    errors: dict[Path, str] = attrs.field(factory=dict)
    """Errors of failed runs, by path."""

    def missing(self) -> list[PlannedRun]:
        """The unfinished runs."""
        return [run for run in self.plan.runs if run.unfinished(self.folder, self.registry)]

    def to_do(self) -> dict[str, int]:
        """How often each stage still has to run; shared stages count once, and stages finished elsewhere do not
        count."""
        kept = {
            (stage, json.loads(record.read_text(encoding="utf-8"))["key"])
            for stage in self.plan.runs[0].keys
            for record in self.folder.glob(f"cells/*/*/stages/{stage}.json")
        }
        missing = {
            (stage, run.keys[stage]) for run in self.missing() for stage in run.unfinished(self.folder, self.registry)
        }
        counts = {stage: sum(name == stage for name, _ in missing - kept) for stage in self.plan.runs[0].keys}
        return {stage: count for stage, count in counts.items() if count}

    def carry_out(self, engine: Engine) -> None:
        """Run what is missing; if a run fails, the error is recorded and the others continue.

        Raises :class:`Interrupted` after Ctrl-C, once all runs have saved their state.
        """
        self.keep()
        waiting = self.missing()
        total, done_before = len(self.plan.runs), len(self.plan.runs) - len(waiting)
        running: dict[Path, _Line] = {}
        began, ended = time.perf_counter(), 0
        with _progress(self.console) as progress:
            whole = progress.add_task("all runs", total=total, completed=done_before, what=_remaining(0, 0, 0))
            try:
                while waiting or running:
                    while waiting and len(running) < engine.jobs:
                        run = waiting.pop(0)
                        running[run.path] = _Line(run, self._start(run, engine), progress, self.folder)
                    for path, line in list(running.items()):
                        line.show()
                        if (outcome := line.job.outcome()) is None:
                            continue
                        del running[path]
                        ended += 1
                        self._ended(line.run, outcome.error)
                        left = len(waiting) + len(running)
                        remaining = _remaining(time.perf_counter() - began, ended, left)
                        progress.update(whole, advance=1, what=remaining)
                        self._say(line, done_before + ended, total, remaining)
                    time.sleep(POLL_SECONDS)
            except KeyboardInterrupt as stop:
                self.console.print("stopping; running jobs save their state first")
                for line in running.values():
                    line.job.stop()
                for line in running.values():
                    line.job.wait()
                self.keep()
                raise Interrupted(
                    exit_code(stop) - 128,
                    f"stopped with {done_before + ended} of {total} runs done; repeat the command to continue",
                ) from None

    def _start(self, run: PlannedRun, engine: Engine) -> Running:
        out = (self.folder / run.path).absolute()
        # beside the runs, which write recipe.yaml themselves and refuse a folder with files of others
        planned = self.folder / "planned" / f"{run.path.relative_to('cells').as_posix().replace('/', '_')}.yaml"
        write_text(planned, run.recipe.to_yaml())
        return engine.start(Job(recipe=planned.absolute(), out=out, cwd=Path.cwd(), threads=1))

    def _ended(self, run: PlannedRun, error: str) -> None:
        unfinished = run.unfinished(self.folder, self.registry)
        if error or unfinished:
            self.errors[run.path] = error or (
                f"code or data have changed since this command began, which affects {', '.join(unfinished)}; "
                "repeat the command to use the new state"
            )
        self.keep()

    def _say(self, line: _Line, ended: int, total: int, remaining: str) -> None:
        line.remove()
        error = self.errors.get(line.run.path)
        how = [("failed", "red"), f": {_gist(error)}"] if error else [f"done in {_duration(line.seconds)}"]
        told = Text.assemble(f"[{ended}/{total}] {_title(line.run)}: ", *how, "  ", (remaining, "dim"))
        self.console.print(told, soft_wrap=True)

    # ----------------------------------------------------------------------------------------- results

    def keep(self) -> Ablation:
        """Write ``ablation.json`` with all results so far, and return them."""
        measures: dict[str, MeasureKind] = {}
        cells = []
        for cell in self.plan.design.cells:
            own = [run for run in self.plan.runs if run.cell is cell]
            results = {run.seed: self._result(run, measures) for run in own}
            cells.append(
                CellResult(
                    name=cell.name,
                    settings=cell.settings,
                    components=own[0].components,
                    recipe=(own[0].path / "recipe.yaml").as_posix(),
                    runs=results,
                )
            )
        design = self.plan.design
        found = Ablation(
            recipe=design.recipe.name,
            base=cells[0].name,
            vary=design.vary,
            seeds=design.seeds,
            measures=measures,
            cells=tuple(cells),
            notes=(*design.notes, *self.plan.notes),
        )
        found.write(self.folder)
        return found

    def _result(self, run: PlannedRun, measures: dict[str, MeasureKind]) -> RunResult:
        result = RunResult(path=run.path.as_posix())
        if run.path in self.errors:
            return attrs.evolve(result, state="failed", error=self.errors[run.path])
        if run.unfinished(self.folder, self.registry):
            return result
        try:
            measured = read_measures(self.folder / run.path)
        except InputError as error:
            return attrs.evolve(result, state="failed", error=str(error))
        for name, measure in measured.measures.items():
            measures.setdefault(name, measure)
        return attrs.evolve(
            result,
            state="done",
            seconds=round(_seconds(self.folder / run.path, run.keys), 2),
            measures={**measured.means, **measured.whole},
            clips=measured.clips,
            left_out=measured.left_out,
        )


def _seconds(path: Path, stages: Mapping[str, str]) -> float:
    records = [json.loads((path / "stages" / f"{stage}.json").read_text(encoding="utf-8")) for stage in stages]
    return float(sum(record["seconds"] for record in records))


# ---------------------------------------------------------------------------------------------- progress


def _title(run: PlannedRun) -> str:
    """What a run is called."""
    return f"{run.cell.name}, seed {run.seed}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", markup=False),
        console=console,
        refresh_per_second=4,
        disable=not console.is_terminal,
    )


class _Line:
    """A running job, and its line on the terminal."""

    def __init__(self, run: PlannedRun, job: Running, progress: Progress, folder: Path) -> None:
        self.run, self.job = run, job
        self._progress, self._path = progress, folder / run.path
        self._task = progress.add_task(_title(run), total=len(run.keys), what="")
        self._began = self._looked = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._began

    def show(self) -> None:
        """Show the current stage and step."""
        if self._progress.disable or time.perf_counter() - self._looked < 1:
            return
        self._looked = time.perf_counter()
        done = 0
        for stage, key in self.run.keys.items():
            record = self._path / "stages" / f"{stage}.json"
            if not record.is_file() or json.loads(record.read_text(encoding="utf-8"))["key"] != key:
                break
            done += 1
        else:
            self._progress.update(self._task, completed=done, what="report")
            return
        steps = getattr(self.run.recipe.stages.get(stage), "steps", None)
        step = _last_step(self._path / "metrics.jsonl", stage) if steps else 0
        self._progress.update(self._task, completed=done, what=f"{stage} {step}/{steps}" if step else stage)

    def remove(self) -> None:
        """Remove the line."""
        self._progress.remove_task(self._task)


def _last_step(log: Path, stage: str) -> int:
    """The last logged step, if it belongs to this stage."""
    if not log.is_file():
        return 0
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().split(b"\n")[:-1]
    try:
        last = json.loads(lines[-1])
    except (IndexError, ValueError):  # no step yet, or a line longer than what was read
        return 0
    return int(last["step"]) if last["stage"] == stage else 0


def _gist(error: str) -> str:
    """The line of ``error`` with the reason: the first of mistakes in a recipe, the last of a traceback."""
    head, *lines = error.splitlines()
    if head.startswith("Traceback"):
        return lines[-1] if lines else head
    return lines[0] if lines and re.match(r"(a mistake|\d+ mistakes) in recipe ", head) else head


def _remaining(seconds: float, ended: int, left: int) -> str:
    if not left:
        return ""
    return f"about {_duration(seconds / ended * left)} left" if ended else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
