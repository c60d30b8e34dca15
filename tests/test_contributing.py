"""The steps of CONTRIBUTING.md work: those to a plugin package, the example of a stage, the checks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = re.findall(r"^`(\S+\.(?:py|toml))`\n\n```(?:python|toml)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


SECTION = TEXT[TEXT.index("## Write a plugin package") : TEXT.index("## Compatibility")]
STEPS = re.findall(r"^```sh\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)

PIP = """#!/bin/sh
# what the document installs is here already, but for the package itself; a wheel is built, without the network
exec {python} -m pip --python {own} install --quiet --no-deps --no-build-isolation --no-index \\
  --disable-pip-version-check --force-reinstall .
"""


@pytest.mark.slow
def test_the_steps_to_a_plugin_package_can_be_taken(environment):
    new, see, check, compare, publish = STEPS
    shims = environment.folder / "shims"
    shims.mkdir()
    for name, text in {
        "pip": PIP.format(python=sys.executable, own=environment.python),
        "vast": f'#!/bin/sh\nexec {environment.python} -m vast_core "$@"\n',
        "pytest": f'#!/bin/sh\nexec {environment.python} -m pytest "$@"\n',
    }.items():
        (shims / name).write_text(text)
        (shims / name).chmod(0o755)

    def take(step, folder):
        path = f"{shims}{os.pathsep}{os.environ['PATH']}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VAST_", "PYTHON"))}
        return subprocess.run(
            ["bash", "-ec", step],
            cwd=folder,
            env=inherited | {"PATH": path, "COLUMNS": "200", "VAST_CACHE": str(environment.folder / "cache")},
            capture_output=True,
            text=True,
        )

    done = take(new, environment.work)
    assert done.returncode == 0, done.stdout + done.stderr
    package = environment.work / "vast-glow"
    done = take(see, package)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"flow\W+glow\W", done.stdout), "no row of `vast check` names it"
    named = set(re.findall(r"^\| `([\w./]+)` \|", SECTION, re.MULTILINE))
    assert len(named) == 7
    assert all((package / file).is_file() for file in named)
    done = take(compare.rstrip() + " --dry-run", package)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "glow" in done.stdout

    module = package / "src" / "vast_glow" / "glow.py"
    right, wrong = "scale.sum(-1)", "scale.mean(-1)"
    assert f"write `{wrong}` for `{right}` in `glow.py`" in SECTION
    text = module.read_text()
    assert right in text
    module.write_text(text.replace(right, wrong))
    assert take("pip install .", package).returncode == 0
    done = take(check, package)
    assert done.returncode == 1
    (shown,) = re.findall(r"^```text\n(.*?)\n```$", SECTION, re.MULTILINE | re.DOTALL)

    def without_figures(text):
        return " ".join(re.sub(r"-?\d+\.\d+", "#", text).split())

    assert without_figures(shown) in without_figures(done.stdout)
    own = take("pytest tests/test_glow.py", package)
    assert "1 failed" in own.stdout, "its own test catches it, too"
    assert publish.splitlines()[-1].startswith("twine upload")


CLIPS = """
@attrs.frozen(kw_only=True)
class NoOptions:
    pass

class Clip:
    speaker = style = split = transcript = None
    def __init__(self, name, wave):
        import hashlib
        self.name, self._wave, self.footage = name, wave, self
        self.digest = hashlib.sha256(b"" if wave is None else wave.tobytes()).hexdigest()
    def wave(self):
        return self._wave

class Corpus:
    @classmethod
    def from_config(cls, config, sizes):
        return cls()
    def clips(self):
        import numpy as np
        sine = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
        return [Clip("loud <b>", sine), Clip("quiet", sine / 1000), Clip("mute", None)]
    def consents(self):
        return {}

@hookimpl
def vast_components():
    yield component("waves", "corpus", target="vast_waves:Corpus", config=NoOptions)
"""


def test_the_example_stage_runs_alone(packages):
    place = packages.add(
        "vast-loudness", entry_points="[vast.v1]\nloudness = vast_loudness.plugin\n", write_module=False
    )
    for name, text in FILES:
        if "loudness" in name:
            path = place / name.removeprefix("src/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    (place / "vast_loudness" / "__init__.py").touch()
    packages.add("vast-waves", CLIPS)
    recipe = re.search(r"^```yaml\n(vast: 1\n.*?run: \[loudness\].*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[1]
    (packages.folder / "r.yaml").write_text(re.sub("corpus: {.*}", "corpus: {use: waves}", recipe))

    def run(*words):
        done = packages.vast("run", "r.yaml", *words, VAST_STRICT_PLUGINS="1")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "2 clips, 1 too quiet" in run()
    out = packages.folder / "runs" / "r"
    figures = json.loads((out / "evaluation.json").read_text())
    assert figures["stages"]["loudness"]["quiet"] == 1
    levels = figures["stages"]["loudness"]["levels"]
    assert levels == pytest.approx({"loud <b>": -3.01, "quiet": -63.01}, abs=0.01), "a sine's power is 1/2"
    assert list(figures["wall_seconds"]) == ["loudness"]
    report = (out / "report.html").read_text()
    assert "Loudness" in report
    assert "loud &lt;b&gt;" in report
    assert "<h2>Data</h2>" not in report
    assert "2 clips, 2 too quiet" in run("stages.loudness.quiet=-1")


STAND_IN = """#!/usr/bin/env bash
echo "python $*" >> "$LOG"
if [[ $3 == freeze ]]; then printf '%s\n' numpy==2.9 nvidia-cublas==1 cuda-bindings==1 triton==1 zuko==3.0; fi
if [[ $2 == venv ]]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "made $3" >> "$LOG"; fi
[[ "$*" != *"$FAIL"* ]]
"""


@pytest.mark.parametrize(
    ("arguments", "fail", "steps"),
    [
        ([], "nothing", ["venv", "pip", "pip", "ruff", "ruff", "mypy", "mkdocs", "pytest", "pytest", "pytest"]),
        ([], "mypy", ["venv", "pip", "pip", "ruff", "ruff", "mypy"]),
        (
            ["--newest"],
            "nothing",
            ["venv", "pip", "pip", "ruff", "ruff", "mypy", "mkdocs", "pytest", "pytest", "pytest", "pip"],
        ),
        (["--newest"], "slow", ["venv", "pip", "pip", "ruff", "ruff", "mypy", "mkdocs", "pytest"]),
        (["--here"], "nothing", ["ruff", "ruff", "mypy", "mkdocs", "pytest", "pytest", "pytest"]),
        (["--hree"], "nothing", []),
    ],
)
def test_ci_run_takes_every_step_and_stops_at_the_first_that_fails(tmp_path, arguments, fail, steps):
    script, python, log = tmp_path / "checkout/.ci/run", tmp_path / "python", tmp_path / "log"
    shutil.copytree(ROOT / ".ci", script.parent)
    python.write_text(STAND_IN)
    python.chmod(0o755)
    log.write_text("")
    environment = os.environ | {"PYTHON": str(python), "LOG": str(log), "FAIL": fail}
    done = subprocess.run([script, *arguments], env=environment, capture_output=True, text=True)
    lines = log.read_text().splitlines()
    assert [line.split()[2] for line in lines if line.startswith("python")] == steps
    assert done.returncode == (2 if not steps else 0 if fail == "nothing" else 1)
    assert ("all passed" in done.stdout) == (done.returncode == 0)
    for line in lines:
        if line.startswith("made"):
            assert not Path(line.split()[1]).exists(), "the environment is left behind"
    installed = [line for line in lines if "--editable" in line]
    assert [line.endswith("--constraint .ci/constraints.txt") for line in installed] == [not arguments] * len(installed)
    kept = (ROOT / ".ci/constraints.txt").read_text()
    passed = arguments == ["--newest"] and fail == "nothing"
    assert script.with_name("constraints.txt").read_text() == ("numpy==2.9\nzuko==3.0\n" if passed else kept)


def test_the_document_names_the_commands_that_ci_runs():
    script = (ROOT / ".ci/run").read_text()
    for command in (
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "mkdocs",
        'pytest -m "not slow"',
        "pytest -m slow",
    ):
        assert command in script
        assert command in TEXT
