"""``vast verify``: a changed file is found, a repeated step has the same losses, and nothing is written."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import nn

from vast_core import processes, verifying
from vast_core.errors import InputError, Interrupted
from vast_core.interfaces import Objective
from vast_core.recipe import load_recipe
from vast_core.registry import Registry, TrainingStage
from vast_core.runner import run_recipe
from vast_core.runs import Run, load_weights, save_weights
from vast_core.runs.directory import computed_on
from vast_core.training import Trainer
from vast_core.verifying import verify

RECIPE = Path(__file__).parent / "faults" / "recipe.yaml"


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A training that saves its state before it logs, stopped; and the function that repeats it."""
    silent = SimpleNamespace(notify=lambda *_, **__: None)
    recipe = SimpleNamespace(seed=3, run=[SimpleNamespace(name="own")], registry=silent)

    def train(run, steps=0):
        torch.manual_seed(0)
        model = nn.Linear(2, 2)
        settings = TrainingStage(steps=30, warmup=2, log_every=5, checkpoint_every=2, learning_rate=1e-2)
        own = Trainer(
            run=run,
            stage="own",
            key="k",
            model=model,
            settings=settings,
            batch_at=lambda step, part: os.kill(os.getpid(), signal.SIGINT) if step == steps else torch.randn(4, 2),
            objectives=lambda batch, _: iter(
                [
                    Objective(
                        "o", model(torch.ones(1, 2) if batch is None else batch).square().mean(), [*model.parameters()]
                    )
                ]
            ),
            device=torch.device("cpu"),
            console=Console(quiet=True),
        )
        own.fit(resume=False)

    recipe.run[0].load = lambda: SimpleNamespace(run=lambda context: train(context.run, context.stopped_at))
    run = Run(tmp_path / "run", recipe, silent)
    run.checkpoints.mkdir(parents=True)
    with pytest.raises(Interrupted):
        train(run, steps=8)
    context = SimpleNamespace(stopped_at=-1, key=lambda stage: "k")
    monkeypatch.setattr(verifying, "assemble", lambda *_: None)
    monkeypatch.setattr(verifying, "StageContext", lambda run, **_: SimpleNamespace(run=run, **vars(context)))
    return verifying._Repeated(run.path, recipe, silent), context


def repeated(run):
    return verifying._repeat(run, "own", json.loads((run.path / "metrics.jsonl").read_text().splitlines()[0]))


def files_of(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_the_states_of_a_stopped_run_stay_as_they_are(stopped):
    run, context = stopped
    before = files_of(run.path)
    assert len(list(run.checkpoints.iterdir())) == 2
    check = repeated(run)
    assert (check.right, "step 5, repeated, has the same losses" in check.found) == (True, True)
    assert files_of(run.path) == before
    context.stopped_at = 3
    with pytest.raises(Interrupted, match="the run is as it was") as raised:
        repeated(run)
    assert raised.value.exit_code == 130
    assert files_of(run.path) == before


@pytest.mark.parametrize("made", ["threads", "processes", "gpu"])
def test_what_was_computed_on_something_else_is_not_comparable(stopped, monkeypatch, made):
    run, _ = stopped
    log = run.path / "metrics.jsonl"
    here = computed_on()
    with monkeypatch.context() as patch:
        if made == "threads":
            patch.setattr(torch, "get_num_threads", lambda: 77)
        elif made == "processes":
            patch.setattr(processes, "count", lambda: 3)
        else:
            patch.setattr(torch.cuda, "is_available", lambda: True)
            patch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
        there = computed_on()
        assert there != here
        log.write_text(log.read_text().replace(here, there).replace('loss": ', 'loss": 1'))
        if made == "gpu":
            assert "differs from run to run" in repeated(run).found
    check = repeated(run)
    assert check.right is None
    assert check.found.startswith(f"not comparable: it was computed on {there}, this is {here}")


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture(scope="module")
def trained(registry, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("verified")
        patch.setenv("VAST_CACHE", str(place / "cache"))
        run_recipe(load_recipe(RECIPE, registry), registry, place / "run", stages=["prepare", "style", "renderer"])
        yield place / "run"


def results(path, registry):
    return {check.what: check for check in verify(path, registry)}


@pytest.mark.slow
def test_a_run_as_it_was_written_is_right_and_stays_as_it_is(trained, registry):
    before = {file: file.read_bytes() for file in trained.rglob("*") if file.is_file() and file.name != ".lock"}
    found = results(trained, registry)
    files = {f"weights/{name}.safetensors" for name in ("face", "style", "renderer")}
    assert {what for what, check in found.items() if check.right} - {"weights/sliders.safetensors"} == {
        *files,
        "stage style",
        "stage renderer",
    }
    assert all(check.right for check in found.values())
    assert "step 1, repeated, has the same losses, bit for bit" in found["stage style"].found
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.slow
def test_what_was_changed_is_found(trained, registry, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    flipped, replaced = run / "weights" / "style.safetensors", run / "weights" / "renderer.safetensors"
    content = bytearray(flipped.read_bytes())
    content[-9] ^= 1
    flipped.write_bytes(content)
    save_weights(replaced, {"other": torch.zeros(1)}, {"what": "renderer"})
    lines = (run / "metrics.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    first["losses"] = {name: loss * (1 + 1e-12) for name, loss in first["losses"].items()}
    (run / "metrics.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    found = results(run, registry)
    assert {what for what, check in found.items() if not check.right} == {
        "weights/style.safetensors",
        "weights/renderer.safetensors",
        "stage style",
    }
    assert "damaged" in found["weights/style.safetensors"].found
    assert "not the file that the stage wrote" in found["weights/renderer.safetensors"].found
    assert re.search("has other losses, by up to [0-9.e-]+", found["stage style"].found)


@pytest.mark.slow
def test_what_cannot_be_repeated_is_unknown(trained, registry, monkeypatch, tmp_path):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "empty"))
    check = results(trained, registry)["stage style"]
    assert check.right is None
    assert "prepare" in check.found
    with pytest.raises(InputError, match="not the folder of a run"):
        list(verify(tmp_path, registry))


@pytest.mark.slow
def test_another_process_and_number_of_threads_gives_the_same_bits_or_says_why_not(trained, tmp_path):
    command = [
        sys.executable,
        "-m",
        "vast_core",
        "run",
        RECIPE,
        "--stages",
        "prepare,style,renderer",
        "--out",
        tmp_path / "run",
    ]
    threads = "2" if torch.get_num_threads() == 1 else "1"
    environment = os.environ | {"VAST_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": threads}
    subprocess.run([*map(str, command)], check=True, env=environment, capture_output=True)
    names = ("face", "style", "renderer")
    digests = [
        [load_weights(run / "weights" / f"{name}.safetensors")[1]["sha256"] for name in names]
        for run in (trained, tmp_path / "run")
    ]
    told = [json.loads((run / "environment.json").read_text())["reproducible"] for run in (trained, tmp_path / "run")]
    assert digests[0] == digests[1] or told[0] != told[1]
    assert f"bit for bit, on such a processor with {threads} threads" in told[1]
