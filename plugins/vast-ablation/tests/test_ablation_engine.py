"""Whole ablations of quick stages: what is shared runs once, what fails costs itself, what is killed goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import attrs
import pytest
from rich.console import Console

from vast_ablation.design import Design
from vast_ablation.engine import Work, _gist
from vast_ablation.job import JobOutcome
from vast_ablation.plan import Plan
from vast_ablation.results import Ablation
from vast_ablation.sharing import alone
from vast_core.cli import Session, cli
from vast_core.errors import InputError, Interrupted, RecipeError, VastError
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe

FLOWS = ("flow.use=plain,steep", "flow.steps=2,3")


@attrs.frozen
class Here:
    """An engine that runs each job at once, in this process."""

    registry: Registry
    jobs: int = 1

    def start(self, job):
        try:
            run_recipe(load_recipe(job.recipe, self.registry), self.registry, job.out, resume=True)
        except VastError as error:
            return Ended(str(error))
        return Ended("")


@attrs.frozen
class Ended:
    error: str

    def outcome(self):
        return JobOutcome(error=self.error)

    def stop(self):
        raise AssertionError("it has ended, and nobody pressed Ctrl-C")

    wait = stop


@pytest.fixture
def registry(lab, monkeypatch):
    monkeypatch.syspath_prepend(str(lab.site))
    for name in ("LAB_LOG", "VAST_CACHE"):
        monkeypatch.setenv(name, lab.environment[name])
    monkeypatch.chdir(lab.folder)
    import vast_lab

    import vast_ablation.plugin

    found = Registry()
    found.register(vast_lab, name="lab", distribution="vast-lab", version="1.0")
    found.register(vast_ablation.plugin, name="ablation", distribution="vast-ablation")
    return found


def work_in(lab, registry, *vary, overrides=()):
    plan = Plan.make(Design.read("lab.yaml", registry, overrides, vary), registry)
    return Work(plan=plan, folder=lab.folder / "out", registry=registry, console=Console(quiet=True))


@pytest.fixture
def ablate(lab, registry):
    """Run an ablation of the recipe in this process; gives what it left."""

    def run(*vary, overrides=(), seeds="2"):
        work = work_in(lab, registry, *vary, overrides=[f"ablate.seeds={seeds}", *overrides])
        run.to_do = work.to_do()
        work.carry_out(Here(registry))
        return Ablation.read(lab.folder / "out")

    return run


def cells_of(runs):
    return [run["run"].rpartition("cells/")[2] for run in runs]


def test_a_stage_that_is_the_same_in_several_cells_runs_once(lab, ablate):
    found = ablate(*FLOWS)
    assert ablate.to_do == {"draw": 2, "score": 6}
    assert cells_of(lab.did("draw")) == ["flow.use=plain/seed1", "flow.use=plain/seed2"]
    assert len({line["run"] for line in lab.did("score")}) == 6
    other = lab.folder / "out" / "cells" / "flow.use=steep_flow.steps=2" / "seed1"
    assert json.loads((other / "stages" / "draw.json").read_text())["taken_from"] == "cells/flow.use=plain/seed1"
    assert "draw/ink" in (other / "metrics.jsonl").read_text(), "the training's curve is in its report"
    assert "Traceback" not in (other / "report.html").read_text()

    assert [cell.name for cell in found.cells] == [
        "flow.use=plain",
        "flow.use=steep flow.steps=2",
        "flow.use=steep flow.steps=3",
    ]
    assert (found.recipe, found.base, found.seeds) == ("lab", "flow.use=plain", (1, 2))
    assert found.vary == {"flow.use": ("plain", "steep"), "flow.steps": (2, 3)}
    assert found.cells[0].components == {"flow": "plain (vast-lab 1.0)"}
    values = [[run.measures["score.value"] for run in cell.runs.values()] for cell in found.cells]
    assert values == [[0.1, 0.2], [2.1, 2.2], [3.1, 3.2]]
    assert {(name, own.better, own.unit) for name, own in found.measures.items()} == {("score.value", "lower", "mm")}


def test_what_a_run_took_from_another_is_not_changed_with_it(lab, ablate):
    ablate("flow.use=plain,steep", seeds="1")
    ours, theirs = (lab.folder / "out" / "cells" / f"flow.use={n}" / "seed1" for n in ("steep", "plain"))
    assert (ours / "weights" / "drawing.txt").samefile(theirs / "weights" / "drawing.txt"), "it takes no room"
    from vast_core.files import write_text

    write_text(theirs / "weights" / "drawing.txt", "another")
    assert (ours / "weights" / "drawing.txt").read_text() == "seed 1"


def test_the_recipe_of_a_cell_is_whole_and_runs_alone(lab, ablate, registry, tmp_path):
    found = ablate("flow.use=plain,steep", overrides=["flow.steps=7"], seeds="1")
    recipe = load_recipe(lab.folder / "out" / found.cells[1].recipe, registry)
    assert (recipe.flow.config.steps, recipe.seed, recipe.sections) == (7, 1, {})
    before = len(lab.did("draw"))
    run_recipe(recipe, registry, tmp_path / "alone")
    assert len(lab.did("draw")) == before + 1, "away from the ablation nothing is taken from it"


def test_the_same_again_does_nothing_and_another_value_only_its_own_cells(lab, ablate):
    first = ablate("flow.use=plain,steep", "flow.steps=2")
    told = lab.log.read_text()
    assert ablate("flow.use=plain,steep", "flow.steps=2") == first
    assert lab.log.read_text() == told
    assert ablate.to_do == {}

    more = ablate("flow.use=plain,steep", "flow.steps=2,5", seeds="3")
    assert ablate.to_do == {"draw": 1, "score": 5}
    assert len(lab.did("draw")) == 3
    assert [len(cell.done) for cell in more.cells] == [3, 3, 3]
    assert more.cells[1].runs[1] == first.cells[1].runs[1]

    again = ablate("flow.steps=5,2", overrides=["flow.use=steep"], seeds="3")
    assert ablate.to_do == {}, "other names for the same cells: nothing is left to run"
    assert [cell.name for cell in again.cells] == ["flow.steps=5", "flow.steps=2"]
    assert len(lab.did("draw")) == 3
    values = [cell.runs[2].measures["score.value"] for cell in again.cells]
    assert values == [5.2, 2.2]


def test_a_run_that_fails_is_noted_and_the_others_go_on(lab, ablate):
    found = ablate(*FLOWS, overrides=["stages.score.fails_with_seed=1"])
    states = [[run.state for run in cell.runs.values()] for cell in found.cells]
    assert states == [["failed", "done"]] * 3
    assert found.cells[1].runs[1].error == "seed 1 is unlucky"
    assert found.cells[1].runs[1].measures == {}
    assert len(found.failures) == 3
    assert found.failures[0] == ("flow.use=plain, seed 1", "seed 1 is unlucky")
    ablate(*FLOWS, overrides=["stages.score.fails_with_seed=1"])
    assert ablate.to_do == {"score": 3}, "the same command tries again what failed, and that alone"


def test_what_a_killed_run_left_half_written_does_no_harm(lab, ablate):
    ablate("flow.use=plain,steep", seeds="1")
    stages = lab.folder / "out" / "cells" / "flow.use=steep" / "seed1" / "stages"
    (stages / ".score.json.4711.part.json").touch()
    (stages / "score.json").unlink()
    ablate("flow.use=plain,steep", seeds="1")
    assert ablate.to_do == {"score": 1}


def test_ctrl_c_reaches_all_runs_before_any_is_waited_for(lab, registry):
    told = []

    class Busy:
        def __init__(self, name):
            self.name = name

        def outcome(self):
            if len(told) == 2:
                raise KeyboardInterrupt

        def stop(self):
            told.append(f"stop {self.name}")

        def wait(self):
            told.append(f"wait {self.name}")

    class Both:
        jobs = 2

        def start(self, job):
            told.append(f"start {job.out.parent.name[-5:]}")
            return Busy(job.out.parent.name[-5:])

    work = work_in(lab, registry, "flow.use=plain,steep", overrides=["ablate.seeds=1"])
    with pytest.raises(Interrupted, match="stopped with 0 of 2 runs done"):
        work.carry_out(Both())
    assert told == [f"{what} {run}" for what in ("start", "stop", "wait") for run in ("plain", "steep")]


def test_a_run_that_leaves_other_results_than_were_planned_counts_as_failed(lab, registry):
    class Elsewhere:
        jobs = 1

        def start(self, job):
            return Ended("")

    work = work_in(lab, registry, "flow.use=plain,steep", overrides=["ablate.seeds=1"])
    work.carry_out(Elsewhere())
    failures = Ablation.read(lab.folder / "out").failures
    assert [title for title, _ in failures] == ["flow.use=plain, seed 1", "flow.use=steep, seed 1"]
    assert "code or data have changed" in failures[0][1]
    assert "draw, score" in failures[0][1]


@pytest.mark.parametrize(
    ("error", "gist"),
    [
        ("seed 1 is unlucky\nin two lines", "seed 1 is unlucky"),
        ("a mistake in recipe r.yaml\nr.yaml:1:2: flow.use: no flow\n    use: x\n", "r.yaml:1:2: flow.use: no flow"),
        ("Traceback (most recent call last):\n  File ...\nKeyError: 'x'", "KeyError: 'x'"),
        ("killed by SIGKILL", "killed by SIGKILL"),
    ],
)
def test_the_line_of_a_failed_run_says_what_was_wrong(error, gist):
    assert _gist(error) == gist


def test_every_cell_is_assembled_before_anything_runs(lab, ablate):
    with pytest.raises(InputError, match=r"flow\.shape=square: a square has no slope \(ValueError at ") as caught:
        ablate("flow.use=plain,steep", "flow.shape=round,square")
    assert "nothing was run" in str(caught.value)
    file, line = re.search(r"at (.*):(\d+)\)", str(caught.value)).groups()
    assert "a square has no slope" in Path(file).read_text().splitlines()[int(line) - 1]
    assert not (lab.folder / "out").exists()
    assert lab.did("draw") == []


def test_one_folder_is_for_one_command_at_a_time(lab, registry):
    words = ["ablate", "lab.yaml", "--vary", "flow.use=plain,steep", "--out", "out"]
    with alone(lab.folder / "out" / "locks" / "ablate") as free:
        assert free
        with pytest.raises(InputError, match="another `vast ablate` is running in out"):
            cli.main(words, standalone_mode=False, obj=Session(registry=registry))
    assert lab.did("draw") == []


def test_a_recipe_that_measures_nothing_is_refused(lab, registry):
    lab.write("ablate: {vary: {flow.steps: [1, 2]}}\n")
    (lab.folder / "lab.yaml").write_text((lab.folder / "lab.yaml").read_text().replace("[draw, score]", "[prepare]"))
    design = Design.read("lab.yaml", registry, ["flow.use=steep"])
    with pytest.raises(RecipeError, match="would measure nothing"):
        Plan.make(design, registry)


# ------------------------------------------------------------------------------------------ processes


def wait_for(condition, seconds=400.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def steps_by_run(lab):
    found = {}
    for line in lab.did("score"):
        found.setdefault(line["run"], []).append(line["step"])
    return found


@pytest.mark.slow
def test_killed_half_way_the_same_command_goes_on(lab):
    words = ("--vary", "flow.use=plain,steep", "--seeds", "1", "--jobs", "2", "stages.score.steps=60")
    slow = (*words, "stages.score.pause=0.1")
    first = lab.start(*slow)
    wait_for(lambda: sum(len(steps) > 5 for steps in steps_by_run(lab).values()) == 2)
    assert len(lab.did("draw")) == 1, "of two runs at a time one waits for what both need"
    pids = {line["pid"] for line in lab.did("score")}
    assert len(pids) == 2
    first.kill()
    first.communicate()
    wait_for(lambda: not any(map(alive, pids)))
    halves = steps_by_run(lab)
    assert all(5 < len(steps) < 60 for steps in halves.values()), "its runs ended with it"

    said, _ = (last := lab.start(*slow)).communicate()
    assert last.returncode == 0, said
    for run, steps in steps_by_run(lab).items():
        assert steps[len(halves[run])] > 5, "it went on from where it was"
        assert steps[-1] == 60
    assert len(lab.did("draw")) == 1
    assert "[2/2]" in said
    assert all(run.state == "done" for cell in Ablation.read(lab.folder / "out").cells for run in cell.runs.values())


@pytest.mark.slow
def test_ctrl_c_lets_the_runs_save_their_state(lab):
    words = ("--vary", "flow.use=plain,steep", "--seeds", "1", "--jobs", "2", "stages.score.steps=200")
    slow = (*words, "stages.score.pause=0.1")
    first = lab.start(*slow)
    wait_for(lambda: sum(len(steps) > 5 for steps in steps_by_run(lab).values()) == 2)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate()
    assert first.returncode == 130
    assert "stopped with 0 of 2 runs done; repeat the command to continue" in said
    assert not any(alive(line["pid"]) for line in lab.did("score"))
    said, _ = (second := lab.start(*slow)).communicate()
    assert second.returncode == 0, said
    for steps in steps_by_run(lab).values():
        assert sorted(set(steps)) == list(range(1, 201))
        assert len(steps) <= 201


@pytest.mark.slow
def test_a_failed_run_makes_the_command_fail_with_a_list(lab):
    words = ("--vary", "flow.use=plain", "stages.score.fails_with_seed=1", "--seeds", "1,2")
    said, _ = (done := lab.start(*words)).communicate()
    assert done.returncode == 1, said
    assert "Error: 1 of 2 runs failed; repeat the command to retry them" in said
    assert "\nflow.use=plain, seed 1: seed 1 is unlucky" in said
    assert "[2/2] flow.use=plain, seed 2: done in" in said
    assert (lab.folder / "out" / "report.html").is_file()


def test_a_dry_run_says_what_would_run_and_leaves_nothing(lab, registry, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    words = [word for factor in FLOWS for word in ("--vary", factor)]
    cli.main(
        ["ablate", "lab.yaml", "--out", "out", "--dry-run", *words],
        standalone_mode=False,
        obj=Session(registry=registry),
    )
    said = capsys.readouterr().out
    assert "recipe lab: 3 cells with seeds 1, 2, 3, 9 runs into out; 0 done, 9 to do" in said
    assert (
        "flow.use=plain: flow 'plain' has no option 'steps', so flow.steps is omitted; 2 combinations are one cell"
        in said
    )
    assert "to do: draw 3 times, score 9 times" in said
    assert not (lab.folder / "out").exists()
