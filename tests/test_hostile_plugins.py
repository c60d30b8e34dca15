"""Harmful packages, built into wheels and installed by pip: what `vast` reports, and the effect on other packages."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import hatchling.build
import pytest

HEAD = """
import attrs
from vast_core import Component, StageSpec, hookimpl

@attrs.frozen(kw_only=True)
class Config:
    steps: int = 3

def component(name, **more):
    given = dict(kind="flow", name=name, target=__name__ + ":Glow", config=Config, summary="A flow.")
    return Component(**(given | more))

class Glow:
    "What a flow would be."

"""

SOUND = """
@attrs.frozen(kw_only=True)
class NodStage:
    times: int = 1

def inputs(context):
    return {}

def run(context):
    print("the head nods")
    return []

@hookimpl
def vast_components():
    return [component("sound")]

@hookimpl
def vast_stages():
    return [StageSpec(name="nod", target=__name__, config=NodStage, summary="Nods.")]
"""


def declares(*names):
    return f"@hookimpl\ndef vast_components(): return [component(name) for name in {names!r}]\n"


HOSTILE = {
    "vast-unimportable": "import no_such_module_at_all\n",
    "vast-exits": "raise SystemExit('good-bye')\n",
    "vast-cancelled": "class Cancelled(BaseException): pass\nraise Cancelled('no reason')\n",
    "vast-misspelt": declares("misspelt") + "@hookimpl\ndef vast_step_ends(step): ...\n",
    "vast-halfway": "@hookimpl\ndef vast_components():\n yield component('a')\n yield component('b')\n 1 / 0\n",
    "vast-twin-one": declares("twin"),
    "vast-twin-two": declares("twin"),
    "vast-tomorrow": declares("tomorrow"),
    "vast-hollow": "",
    "vast-slow": "import time\ntime.sleep(1.2)\n" + declares("slow"),
    "vast-noisy": "print('hello from the plugin')\n" + declares("noisy"),
    "vast-nomad": "import os, sys\nos.chdir('/')\nos.environ['VAST_NOMAD'] = '1'\nsys.path[:] = ['/nowhere']\n"
    + declares("nomad"),
    "vast-picky": "@attrs.frozen(kw_only=True)\nclass Picky(Config):\n def __attrs_post_init__(self):\n"
    "  raise ValueError('steps never suit')\n"
    "@hookimpl\ndef vast_components(): return [component('picky', config=Picky)]\n",
    "vast-unready": "@hookimpl\ndef vast_components():\n"
    " return [component('unready', target='vast_unready.code:Glow')]\n",
    "vast-needy": declares("needy"),
    "vast-clumsy": declares("clumsy") + "@hookimpl\ndef vast_commands(cli): raise RuntimeError('no terminal')\n",
}
"""The modules of the harmful packages, by name; a sound package is installed with them."""


def build(folder: Path, distribution: str, source: str, version: str = "1.0") -> Path:
    """A wheel of one module."""
    module = distribution.replace("-", "_")
    project = folder / f"{distribution}-{version}"
    project.mkdir()
    needs = '["no-such-distribution>=2"]' if distribution == "vast-needy" else "[]"
    extra = '\n[project.optional-dependencies]\nnice = ["no-such-nicety>=3"]\n' if distribution == "vast-sound" else ""
    name = "twin" if "twin" in distribution else module
    target = "vast_hollow_code" if distribution == "vast-hollow" else module
    group = "vast.v2" if distribution == "vast-tomorrow" else "vast.v1"
    (project / f"{module}.py").write_text(HEAD + source)
    (project / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{distribution}"\nversion = "{version}"\ndependencies = {needs}\n{extra}'
        f'[project.entry-points."{group}"]\n{name} = "{target}"\n'
        f'[tool.hatch.build.targets.wheel]\nonly-include = ["{module}.py"]\n'
    )
    with contextlib.chdir(project):
        return project / hatchling.build.build_wheel(str(project))


def install(site: Path, wheels: list[Path]) -> Path:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*command, *map(str, wheels)], check=True, capture_output=True)
    return site


def vast(folder: Path, *arguments: str, path: list[Path], **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("VAST_")}
    variables = {"PYTHONPATH": os.pathsep.join(map(str, path)), "COLUMNS": "100"} | variables
    command = [sys.executable, "-m", "vast_core", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=inherited | variables)


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """All packages installed together, and the output of three commands."""
    folder = tmp_path_factory.mktemp("hostile")
    wheels = [build(folder, name, source) for name, source in HOSTILE.items()]
    site = install(folder / "site", [build(folder, "vast-sound", SOUND), *wheels])
    older = install(folder / "older", [build(folder, "vast-sound", SOUND, version="0.9")])
    (folder / "r.yaml").write_text("vast: 1\nrun: [nod]\n")
    path = [site, older]
    return SimpleNamespace(
        folder=folder,
        path=path,
        plugins=vast(folder, "plugins", path=path),
        doctor=vast(folder, "plugins", "doctor", path=path),
        run=vast(folder, "run", "r.yaml", path=path),
    )


BROKEN = {
    "unimportable": (
        "ModuleNotFoundError: No module named 'no_such_module_at_all'",
        "install the package that has the",
    ),
    "exits": ("SystemExit: good-bye", "tell its authors that it exits"),
    "cancelled": ("Cancelled: no reason", "pip install --upgrade vast-cancelled"),
    "misspelt": ("no hook is called 'vast_step_ends'; did you mean 'vast_step_end'?", "pip uninstall vast-misspelt"),
    "halfway": ("ZeroDivisionError: division by zero", "pip install --upgrade vast-halfway"),
    "hollow": ("No module named 'vast_hollow_code'", "damaged or half removed: pip install --force-reinstall"),
    "clumsy": ("RuntimeError: no terminal", "pip install --upgrade vast-clumsy"),
    "tomorrow": ("made for plugin API v2, and this vast offers v1", "upgrade vast, or install a release of"),
}


def words(text: str) -> str:
    return " ".join(text.split())


def about(doctor: str, title: str) -> str:
    """The doctor's text under a title, in one line."""
    found = [words(part) for part in doctor.split("\n\n") if title in words(part)]
    assert len(found) == 1, doctor
    return found[0]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_is_told_with_cause_and_remedy(town, name):
    cause, remedy = BROKEN[name]
    state = "foreign" if name == "tomorrow" else "broken"
    assert re.search(rf"^vast_{name} +vast-{name} 1\.0 +{state} +\d+ +.*{re.escape(cause)}", town.plugins.stdout, re.M)
    told = about(town.doctor.stdout, f"plugin vast_{name} (vast-{name} 1.0)")
    assert cause in told
    assert remedy in told
    if name != "clumsy":  # nothing asks it for its command
        assert f"plugin vast_{name} (vast-{name} 1.0) is {state}; `vast plugins doctor`" in town.run.stderr
    assert not re.search(rf"^\w+ +\w+ +vast-{name} 1\.0 +ready", town.plugins.stdout, re.M), "a component is left"


def test_the_line_at_fault_is_told(town):
    for name in ("exits", "halfway", "clumsy"):
        module = f"vast_{name}.py"
        line = next(n for n, text in enumerate((HEAD + HOSTILE[f"vast-{name}"]).splitlines(), 1) if FAULT[name] in text)
        assert f"{module}:{line})" in about(town.doctor.stdout, f"plugin vast_{name}").replace(" ", "")


FAULT = {"exits": "raise SystemExit", "halfway": "1 / 0", "clumsy": "raise RuntimeError"}


def test_an_unaffected_recipe_runs(town):
    assert town.run.returncode == 0, town.run.stderr
    assert "the head nods" in town.run.stdout
    assert (town.folder / "runs" / "r" / "recipe.yaml").is_file(), "a plugin that changed the folder moved the run"
    assert re.search(r"^flow +sound +vast-sound 1\.0 +ready", town.plugins.stdout, re.M)
    assert re.search(r"^flow +householder +vast-avatar", town.plugins.stdout, re.M)


def test_the_list_and_the_doctor_end_as_they_should(town):
    assert (town.plugins.returncode, town.doctor.returncode) == (0, 1)
    assert "9 plugins are left out; `vast plugins doctor` shows the reason" in town.plugins.stdout
    wrong, _, rest = town.doctor.stdout.partition("Worth knowing")
    assert wrong.startswith("Wrong (")
    assert "is slow to import" in rest
    assert all(len(line) <= 100 for line in town.doctor.stdout.splitlines() if "/" not in line)


def test_two_packages_with_one_name(town):
    assert re.search(r"^flow +vast-twin-one/twin +vast-twin-one 1\.0 +write in full", town.plugins.stdout, re.M)
    told = about(town.doctor.stdout, "flow/twin is the name of several")
    assert "provided by vast-twin-one 1.0 and vast-twin-two 1.0" in told
    assert "write `use: vast-twin-one/twin` or `use: vast-twin-two/twin`" in told
    assert "several plugins are called twin" in town.doctor.stdout
    assert "twin" not in town.run.stderr


def test_a_package_that_is_there_twice(town):
    told = about(town.doctor.stdout, "plugin vast_sound (vast-sound 0.9) is hidden")
    assert str(town.path[1]) in told.replace(" ", "")
    assert f"1.0 in {town.path[0]}".replace(" ", "") in told.replace(" ", "")
    assert "pip uninstall vast-sound" in told
    assert re.search(r"^vast_sound +vast-sound 0\.9 +shadowed", town.plugins.stdout, re.M)


def test_a_slow_one_is_told_with_its_time(town):
    (milliseconds,) = re.findall(r"^vast_slow +vast-slow 1\.0 +loaded +(\d+)", town.plugins.stdout, re.M)
    assert 1200 <= int(milliseconds) < 5000
    told = about(town.doctor.stdout, "plugin vast_slow (vast-slow 1.0) is slow to import")
    assert re.search(r"it took [1-4]\.\d s, at every start", told)
    assert "python -X importtime -c 'import vast_slow'" in told
    assert re.search(r"^plugin vast_slow \(vast-slow 1\.0\) took [1-4]\.\d s to import$", town.run.stderr, re.M)


@pytest.mark.slow
def test_one_that_takes_ten_seconds(tmp_path):
    woken = tmp_path / "woken"
    sleep = f"import time\nfrom pathlib import Path\nPath({str(woken)!r}).touch()\ntime.sleep(10)\n"
    wheel = build(tmp_path, "vast-sleepy", sleep + declares("sleepy"))
    path = [install(tmp_path / "site", [wheel])]
    told = about(vast(tmp_path, "plugins", "doctor", path=path).stdout, "plugin vast_sleepy")
    assert re.search(r"it took 1\d\.\d s", told)
    woken.unlink()
    vast(tmp_path, "plugins", path=path, VAST_PLUGINS="vast-avatar")
    assert not woken.exists(), "a plugin that is switched off was imported"


def test_what_an_import_prints_goes_to_standard_error(town):
    assert "hello" not in town.plugins.stdout + town.doctor.stdout + town.run.stdout
    assert "hello from the plugin" in town.plugins.stderr


def test_what_an_import_does_to_the_process_is_undone(tmp_path):
    path = [install(tmp_path / "site", [build(tmp_path, "vast-nomad", HOSTILE["vast-nomad"])])]
    code = (
        "import os, sys\nfrom vast_core.registry import Registry\nbefore, folder = list(sys.path), os.getcwd()\n"
        "registry = Registry.discover()\nassert 'nomad' in registry.names('flow')\n"
        "assert (sys.path, os.getcwd()) == ([*before, '/nowhere'], folder), (sys.path, os.getcwd())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_components_that_cannot_work_are_found_without_importing_them(town):
    assert "refuses its own defaults: ValueError: steps never suit" in about(town.doctor.stdout, "flow 'picky'")
    assert "there is no module vast_unready.code" in about(town.doctor.stdout, "flow 'unready'")


def test_packages_that_are_missing(town):
    told = about(town.doctor.stdout, "vast-needy 1.0 lacks what it requires")
    assert "no-such-distribution>=2 is not installed" in told
    assert "pip install 'no-such-distribution>=2'" in told
    told = about(town.doctor.stdout, "the extra nice of vast-sound 1.0 is not installed")
    assert "pip install 'vast-sound[nice]'" in told


def test_switched_off(town):
    bare = vast(town.folder, "--no-plugins", "plugins", "doctor", path=town.path)
    assert "by --no-plugins or VAST_PLUGINS:" in about(bare.stdout, "plugins are switched off")
    assert bare.returncode == 1, "what is hidden or made for another vast is so still"
    assert "hello" not in bare.stderr, "a plugin was imported"
    only = vast(town.folder, "plugins", "doctor", path=town.path[:1], VAST_PLUGINS="vast-noisy")
    assert "exits" not in only.stdout.partition("Worth knowing")[0]
    assert re.search(r"^1 plugins? (is|are) loaded, with 1 components? and \d stages", only.stdout, re.M)
    run = vast(town.folder, "run", "r.yaml", path=town.path[:1], VAST_PLUGINS="sound")
    assert run.returncode == 2
    assert "VAST_PLUGINS: no plugin or package is called 'sound'" in run.stderr


def test_strict_stops_at_the_first_broken_one(town):
    for arguments in (["plugins"], ["plugins", "doctor"], ["run", "r.yaml"]):
        done = vast(town.folder, *arguments, path=town.path, VAST_STRICT_PLUGINS="1")
        assert done.returncode == 2
        assert re.match(
            r"(hello.*\n)?Error: plugin vast_\w+ \(.*\) is broken: .*VAST_STRICT_PLUGINS is set", done.stderr
        )
    done = vast(
        town.folder, "run", "r.yaml", path=town.path, VAST_STRICT_PLUGINS="1", VAST_PLUGINS="vast-sound,vast-avatar"
    )
    assert done.returncode == 0, done.stderr


def test_a_sound_environment(tmp_path):
    path = [install(tmp_path / "site", [build(tmp_path, "vast-sound", SOUND)])]
    done = vast(tmp_path, "plugins", "doctor", path=path)
    assert done.returncode == 0, done.stdout
    assert "Wrong" not in done.stdout
    assert "Nothing is wrong." in done.stdout


def test_ctrl_c_while_a_plugin_is_imported(tmp_path):
    source = "import sys, time\nsys.stderr.write('here\\n')\nsys.stderr.flush()\ntime.sleep(30)\n"
    path = [install(tmp_path / "site", [build(tmp_path, "vast-hangs", source)])]
    environment = {**os.environ, "PYTHONPATH": str(path[0])}
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from vast_core.cli import main; main(['plugins'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.startswith("interrupted while plugin vast_hangs (vast-hangs 1.0) was imported; VAST_PLUGINS or ")
