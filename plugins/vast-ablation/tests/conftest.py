"""A real package with two quick stages and two flows, so that whole ablations take seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

LAB = """
import json, os, time
from pathlib import Path
import attrs
from vast_core import Component, StageSpec, hookimpl
from vast_core.errors import InputError

@attrs.frozen(kw_only=True)
class PlainConfig:
    pass

@attrs.frozen(kw_only=True)
class SteepConfig:
    steps: int = 4
    shape: str = "round"

@attrs.frozen(kw_only=True)
class DrawStage:
    pass

@attrs.frozen(kw_only=True)
class ScoreStage:
    steps: int = 2
    pause: float = 0.0
    fails_with_seed: int = -1

class Flow:
    def __init__(self, config):
        if getattr(config, "shape", "round") == "square":
            raise ValueError("a square has no slope")
    @classmethod
    def from_config(cls, config, sizes):
        return cls(config)
    def parameters(self):
        return iter(())

def tell(context, stage, **more):
    line = {"stage": stage, "run": str(context.run.path), "pid": os.getpid(), **more}
    with Path(os.environ["LAB_LOG"]).open("a") as file:
        file.write(json.dumps(line) + chr(10))

class Draw:
    def inputs(self, context):
        return {"seed": context.recipe.seed}
    def run(self, context):
        tell(context, "draw")
        time.sleep(0.2)
        made = context.run.weights / "drawing.txt"
        made.write_text(f"seed {context.recipe.seed}")
        context.run.log("draw", 1, {"draw/ink": 0.5}, 1.0)
        return [made]

class Score:
    def inputs(self, context):
        return {"drawn": context.key("draw"), **context.component_inputs("flow")}
    def run(self, context):
        options, seed = context.options("score", ScoreStage), context.recipe.seed
        assert (context.run.weights / "drawing.txt").read_text() == f"seed {seed}"
        half = context.run.checkpoints / "score"
        done = int(half.read_text()) if context.resume and half.is_file() else 0
        for step in range(done + 1, options.steps + 1):
            time.sleep(options.pause)
            tell(context, "score", step=step)
            half.write_text(str(step))
            if seed == options.fails_with_seed:
                raise InputError(f"seed {seed} is unlucky")
        half.unlink()
        value = getattr(context.recipe.part("flow").config, "steps", 0) + seed / 10
        figures = {"value": value, "words": "no number", "measures": {"value": {"better": "lower", "unit": "mm"}}}
        return [context.run.write_figures("score", figures)]

draw, score = Draw(), Score()

@hookimpl
def vast_components():
    for name, config in (("plain", PlainConfig), ("steep", SteepConfig)):
        yield Component(kind="flow", name=name, target="vast_lab:Flow", config=config, summary="A flow.")

@hookimpl
def vast_stages():
    yield StageSpec(name="draw", target="vast_lab:draw", config=DrawStage, summary="Draws.")
    yield StageSpec(name="score", target="vast_lab:score", config=ScoreStage, needs=["flow"], summary="Scores.")
"""

RECIPE = "vast: 1\nname: lab\nflow: {use: plain}\nrun: [draw, score]\n"


class Lab:
    """A folder with a recipe, the package beside it, and what its stages did."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        info = self.site / "vast_lab-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vast-lab\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[vast.v1]\nlab = vast_lab\n")
        (self.site / "vast_lab.py").write_text(LAB)
        self.log = folder / "log.jsonl"
        self.write("")

    def write(self, more: str) -> Path:
        """The recipe, with more lines."""
        path = self.folder / "lab.yaml"
        path.write_text(RECIPE + more)
        return path

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(self.site), os.environ.get("PYTHONPATH")]))
        # the heavy plugins stay out: every run is a process that would import them
        own = {"VAST_PLUGINS": "vast-lab,ablation", "PYTHONPATH": path, "LAB_LOG": str(self.log), "COLUMNS": "160"}
        return {**os.environ, **own, "VAST_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """``vast ablate lab.yaml`` in a process of its own."""
        command = [sys.executable, "-m", "vast_core", "ablate", "lab.yaml", "--out", "out", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        # whoever starts the tests in the background has them ignore Ctrl-C, and so would this process
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, preexec_fn=heed, **pipes)

    def did(self, stage: str) -> list[dict]:
        """What the runs of a stage have told, in order."""
        lines = self.log.read_text().splitlines() if self.log.is_file() else []
        return [line for line in map(json.loads, lines) if line["stage"] == stage]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A place to run ablations in."""
    return Lab(tmp_path)
