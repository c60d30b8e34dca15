"""The plugin package that CONTRIBUTING.md shows, built, found and held to the conformance kit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from vast_core.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = re.findall(r"^`(\S+\.(?:py|toml))`\n\n```(?:python|toml)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def example(tmp_path):
    """The example's files, written where their headings say."""
    files = [(name, text) for name, text in FILES if "loudness" not in name]
    assert [name for name, _ in files] == [
        "pyproject.toml",
        "src/vast_shift/__init__.py",
        "src/vast_shift/config.py",
        "src/vast_shift/plugin.py",
        "src/vast_shift/flow.py",
        "tests/test_shift.py",
    ]
    for name, text in files:
        path = tmp_path / "vast-shift" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "vast-shift"


@pytest.mark.slow
def test_the_example_package_is_whole(example, tmp_path):
    options = ["-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(example)], check=True)
    code = (
        "from vast_core.registry import Registry; found = Registry.discover();"
        "print(found.get('flow', 'shift').provider, found.broken)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "VAST_STRICT_PLUGINS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "vast-shift 1.0 ()\n", done.stderr
    (found,) = distributions(path=[str(tmp_path / "site")])
    assert found.name == "vast-shift"
    tests = subprocess.run([sys.executable, "-m", "pytest", "-q", str(example)], env=environment, cwd=tmp_path)
    assert tests.returncode == 0


def test_the_examples_config_and_declaration_are_sound(example, monkeypatch):
    monkeypatch.syspath_prepend(str(example / "src"))
    import vast_shift.plugin

    registry = Registry()
    registry.register(vast_shift.plugin, name="shift", distribution="vast-shift", version="1.0")
    assert registry.get("flow", "shift").config().reach == 1.0
    for name in [name for name in sys.modules if name.startswith("vast_shift")]:
        del sys.modules[name]


CLIPS = """
@attrs.frozen(kw_only=True)
class NoOptions:
    pass

class Clip:
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
if [[ $2 == venv ]]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "made $3" >> "$LOG"; fi
[[ "$*" != *"$FAIL"* ]]
"""


@pytest.mark.parametrize(
    ("arguments", "fail", "steps"),
    [
        ([], "nothing", ["venv", "pip", "pip", "ruff", "ruff", "mypy", "pytest", "pytest"]),
        ([], "mypy", ["venv", "pip", "pip", "ruff", "ruff", "mypy"]),
        (["--here"], "nothing", ["ruff", "ruff", "mypy", "pytest", "pytest"]),
        (["--hree"], "nothing", []),
    ],
)
def test_ci_run_takes_every_step_and_stops_at_the_first_that_fails(tmp_path, arguments, fail, steps):
    python, log = tmp_path / "python", tmp_path / "log"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    log.write_text("")
    environment = os.environ | {"PYTHON": str(python), "LOG": str(log), "FAIL": fail}
    done = subprocess.run([ROOT / ".ci/run", *arguments], env=environment, capture_output=True, text=True)
    lines = log.read_text().splitlines()
    assert [line.split()[2] for line in lines if line.startswith("python")] == steps
    assert done.returncode == (0 if steps[-1:] == ["pytest"] else 1 if steps else 2)
    assert ("all passed" in done.stdout) == (done.returncode == 0)
    for line in lines:
        if line.startswith("made"):
            assert not Path(line.split()[1]).exists(), "the environment is left behind"


def test_the_document_names_the_commands_that_ci_runs():
    script = (ROOT / ".ci/run").read_text()
    for command in ("ruff check .", "ruff format --check .", "mypy", 'pytest -m "not slow"', "pytest -m slow"):
        assert command in script
        assert command in TEXT
