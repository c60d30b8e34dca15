"""A run's folder belongs to one process, and its results to the recipe that made them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from vast_core.runs.lock import awaited

SLEEPER = """
from pathlib import Path

@attrs.frozen(kw_only=True)
class First:
    seconds: float = 0.0

@attrs.frozen(kw_only=True)
class Second:
    pass

class Stage:
    def __init__(self, name):
        self.name = name
    def inputs(self, context):
        return {"first": context.key("first")} if self.name == "second" else {}
    def run(self, context):
        import time
        (context.run.path / "began").touch()
        time.sleep(context.options("first", First).seconds)
        return [context.run.write_figures(self.name, {})]

first, second = Stage("first"), Stage("second")

@hookimpl
def vast_stages():
    for name, config in (("first", First), ("second", Second)):
        yield StageSpec(name=name, target=f"vast_sleeper:{name}", config=config, summary="Sleeps.")
"""


@pytest.fixture
def sleeper(packages):
    packages.add("vast-sleeper", SLEEPER)
    (packages.folder / "r.yaml").write_text("vast: 1\nrun: [first, second]\n")
    return packages


@pytest.fixture
def started(sleeper):
    """A run of a minute in a process of its own, in the midst of its first stage; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vast_core", "run", "r.yaml", "stages.first.seconds=60.0"],
        env=sleeper.environment(VAST_CACHE=str(sleeper.folder / "cache")),
        cwd=sleeper.folder,
        stdout=subprocess.DEVNULL,
    )
    began = time.monotonic()
    while not (sleeper.folder / "runs" / "r" / "began").exists():
        assert process.poll() is None
        assert time.monotonic() - began < 120
        time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def test_a_second_process_refuses_and_names_the_first(sleeper, started):
    recipe = (sleeper.folder / "runs" / "r" / "recipe.yaml").read_text()
    second = sleeper.vast("run", "r.yaml", "stages.first.seconds=0.0")
    assert second.returncode == 2
    assert f"runs/r: process {started.pid} on {socket.gethostname()}, since 20" in second.stderr
    assert "choose another --out" in second.stderr
    assert (sleeper.folder / "runs" / "r" / "recipe.yaml").read_text() == recipe, "what the first runs is still there"
    assert sleeper.vast("run", "r.yaml", "--out", "runs/other").returncode == 0


def test_the_lock_of_a_killed_process_does_not_last(sleeper, started):
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    again = sleeper.vast("run", "r.yaml")
    assert again.returncode == 0, again.stderr
    assert sleeper.vast("run", "r.yaml").returncode == 0, "nor does that of one that has finished"


def test_a_stage_is_not_run_on_results_of_another_recipe(sleeper):
    (sleeper.folder / "cache").mkdir()
    alone = sleeper.vast("run", "r.yaml", "--stages", "second")
    assert alone.returncode == 2
    assert "stage 'second' depends on stage 'first', whose result in runs/r is missing or out of date" in alone.stderr
    assert "--stages first,second" in alone.stderr
    assert sleeper.vast("run", "r.yaml").returncode == 0
    (sleeper.folder / "runs" / "r" / "stages" / "second.figures.json").unlink()
    assert sleeper.vast("run", "r.yaml", "--stages", "second").returncode == 0
    changed = sleeper.vast("run", "r.yaml", "stages.first.seconds=0.1", "--stages", "second")
    assert changed.returncode == 2
    assert "missing or out of date" in changed.stderr
    both = sleeper.vast("run", "r.yaml", "stages.first.seconds=0.1", "--stages", "first,second")
    assert both.returncode == 0, both.stderr
    assert json.loads((sleeper.folder / "runs" / "r" / "stages" / "second.json").read_text())["key"]


def test_a_folder_of_other_files_is_no_place_for_a_run(sleeper):
    footage = sleeper.folder / "footage"
    footage.mkdir()
    (footage / "base.mp4").write_text("mine")
    done = sleeper.vast("run", "r.yaml", "--out", "footage")
    assert (done.returncode, (footage / "base.mp4").read_text()) == (2, "mine")
    assert "has files that are not from a run, such as base.mp4; choose another --out" in done.stderr


def test_the_users_own_recipe_is_not_overwritten(sleeper):
    own = sleeper.folder / "own"
    own.mkdir()
    (own / "recipe.yaml").write_text("# my remarks\nvast: 1\nrun: [first, second]\n")
    done = sleeper.vast("run", "own/recipe.yaml", "--out", "own")
    assert done.returncode == 2
    assert "recipe.yaml: is not from a run, and would be overwritten" in done.stderr
    assert (own / "recipe.yaml").read_text().startswith("# my remarks")


def test_a_schema_overwrites_only_a_schema(sleeper):
    recipe = (sleeper.folder / "r.yaml").read_text()
    done = sleeper.vast("schema", "--out", "r.yaml")
    assert (done.returncode, (sleeper.folder / "r.yaml").read_text()) == (2, recipe)
    assert "is not a schema of recipes, and would be overwritten" in done.stderr
    for _ in range(2):
        assert sleeper.vast("schema", "--out", "s.json").returncode == 0


def test_a_second_process_waits_for_the_folder_and_says_for_whom(tmp_path):
    said, order = [], []

    def second():
        with awaited(tmp_path, said.append):
            order.append("second")

    with awaited(tmp_path, said.append):
        waiting = threading.Thread(target=second)
        waiting.start()
        end = time.monotonic() + 60
        while not said:
            assert time.monotonic() < end
            time.sleep(0.01)
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]
    assert re.fullmatch(rf"waiting for process {os.getpid()} on .*, which works in {tmp_path}", *said)
