"""One distribution bundles exactly what plugins/* declare, and each plugin builds and imports alone."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import vast_core
import vast_runtime

ROOT = Path(__file__).resolve().parents[1]
ALONE = "vast-runtime"
"""A program without vast, beside the plugins: it is published by itself and not bundled."""
PLUGINS = sorted(path for path in (ROOT / "plugins").glob("*/pyproject.toml") if path.parent.name != ALONE)
EXTRAS = {"vast-live": "serve", "vast-splines": "splines", "vast-study": "study"}
"""Plugins whose requirements are an extra of the distribution, by the name of the extra."""
each_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.parent.name)


def toml(path):
    return tomllib.loads(path.read_text())


def wheel_packages(path):
    return toml(path)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def required(project):
    return {re.match(r"[\w.-]+", line)[0].lower() for line in project.get("dependencies", [])}


def optional(project):
    """Distributions of all extras except those for developers."""
    extras = project.get("optional-dependencies", {})
    features = extras.keys() - {"test", "oracles", "check"}
    return required({"dependencies": [line for name in features for line in extras[name]]})


def imported(package):
    """Distributions that a package's modules import, functions included."""
    owners = packages_distributions()
    found = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
            for top in tops:  # what is not installed is known by its own name
                found |= {top} if top.startswith("vast_") else {owner.lower() for owner in owners.get(top, [top])}
    return found


def test_there_are_seventeen_plugins():
    assert len(PLUGINS) == 17
    folders = {path.name for path in (ROOT / "plugins").iterdir() if path.is_dir()}
    assert {path.parent.name for path in PLUGINS} | {ALONE} == folders


def test_entry_points_are_the_union_of_the_plugins():
    declared = [toml(path)["project"]["entry-points"]["vast.v1"] for path in PLUGINS]
    union = {name: module for points in declared for name, module in points.items()}
    assert len(union) == sum(map(len, declared)), "two plugins chose one name"
    assert toml(ROOT / "pyproject.toml")["project"]["entry-points"]["vast.v1"] == union


def test_bundled_packages_are_the_union_of_the_plugins():
    bundled = {f"{path.parent.relative_to(ROOT)}/{package}" for path in PLUGINS for package in wheel_packages(path)}
    assert set(wheel_packages(ROOT / "pyproject.toml")) == bundled | {"vast_core"}


@each_plugin
def test_a_plugin_agrees_with_the_whole(plugin):
    whole, own = toml(ROOT / "pyproject.toml")["project"], toml(plugin)["project"]
    assert own["name"] == plugin.parent.name
    assert own["version"] == whole["version"] == vast_core.__version__
    assert own["requires-python"] == whole["requires-python"]
    assert own["license"] == whole["license"]
    assert whole["name"] in required(own)
    extra = whole["optional-dependencies"][EXTRAS[own["name"]]] if own["name"] in EXTRAS else []
    assert required(own) - {whole["name"]} <= required(whole) | required({"dependencies": extra})
    assert optional(own) <= required(whole) | optional(whole)


@each_plugin
def test_a_plugin_imports_only_what_it_declares_and_no_other_plugin(plugin):
    package = plugin.parent / wheel_packages(plugin)[0]
    found = imported(package) - {package.name, "vast_core"}
    assert not {name for name in found if name.startswith("vast_")}, "plugins never import each other"
    project = toml(plugin)["project"]
    assert found <= required(project) | optional(project)


def test_the_core_imports_only_what_it_declares():
    found = imported(ROOT / "vast_core") - {"vast_core"}
    project = toml(ROOT / "pyproject.toml")["project"]
    # who takes up vast_core.testing runs pytest already
    assert found <= required(project) | optional(project) | {"pytest"}


def test_the_runtime_needs_no_torch_and_nothing_of_vast():
    project = toml(ROOT / "plugins" / ALONE / "pyproject.toml")["project"]
    found = imported(ROOT / "plugins" / ALONE / "src" / "vast_runtime")
    assert found == required(project) == {"av", "numpy", "onnxruntime", "opencv-python-headless"}
    assert project["version"] == vast_core.__version__ == vast_runtime.__version__
    assert "entry-points" not in project


@pytest.mark.parametrize("name", ["plugins", "recipes", "tests"])
def test_folders_that_are_no_packages(name):
    """An editable install puts the root on sys.path, where these names would then be everyone's."""
    assert list((ROOT / name).rglob("tests/__init__.py")) == []
    assert not (ROOT / name / "__init__.py").exists()


def test_names_of_test_modules_are_unique():
    files = [path.name for folder in ("tests", "plugins") for path in (ROOT / folder).rglob("test_*.py")]
    assert sorted(files) == sorted(set(files))


def test_entry_points_import_nothing_heavy():
    code = (
        "import sys; from vast_core.registry import Registry; r = Registry.discover(environ={});"
        "heavy = {'torch', 'numpy', 'cv2', 'scipy'} & set(sys.modules);"
        "print(*[p for p in r.plugins if p.state != 'loaded'], *heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def build(folder: Path, into: Path) -> Path:
    """Build a wheel and unpack it; gives the folder to put on sys.path."""
    options = ["-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-w", str(into)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(folder)], check=True)
    (wheel,) = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into / "unpacked")
    return into / "unpacked"


def contents(folder: Path) -> set[str]:
    """Files below a folder, metadata and caches left out."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(f) for f in files if not f.parts[0].endswith(".dist-info") and "__pycache__" not in f.parts}


def python(code: str, *, path: Path, cwd: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@each_plugin
def test_a_plugin_builds_and_imports_alone(plugin, tmp_path):
    unpacked = build(plugin.parent, tmp_path)
    (package,) = {Path(name).parts[0] for name in contents(unpacked)}
    assert contents(unpacked) == {f"{package}/{name}" for name in contents(plugin.parent / "src" / package)}
    modules = ", ".join(toml(plugin)["project"]["entry-points"]["vast.v1"].values())
    place = python(f"import {modules}; print({package}.__file__)", path=unpacked, cwd=tmp_path)
    assert place.startswith(str(unpacked))


@pytest.mark.slow
def test_the_whole_builds_and_runs_away_from_the_checkout(tmp_path):
    unpacked = build(ROOT, tmp_path)
    sources = {"vast_core": ROOT / "vast_core", "vast_recipes": ROOT / "recipes"}
    sources |= {Path(p).name: ROOT / p for p in wheel_packages(ROOT / "pyproject.toml")}
    expected = {f"{name}/{file}" for name, folder in sources.items() for file in contents(folder)}
    assert contents(unpacked) == expected
    away = tmp_path / "away"
    away.mkdir()
    code = (
        "import vast_core, vast_flows; from vast_core.recipe import load_recipe, packaged_recipes;"
        "from vast_core.registry import Registry;"
        "print(vast_core.__file__, vast_flows.__file__, load_recipe('vast_default', Registry.discover()).source,"
        " len(packaged_recipes()), sep='\\n')"
    )
    core, flows, source, count = python(code, path=unpacked, cwd=away).splitlines()
    assert all(str(unpacked) in line for line in (core, flows, source))
    assert int(count) == len(list((ROOT / "recipes").rglob("*.yaml")))


def needed(path):
    """Modules, by their first name, without which a test fails: those imported that no `importorskip` asks for."""
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    skips = [call for call in calls if call.func.attr == "importorskip"]
    assert all("reason" in {keyword.arg for keyword in call.keywords} for call in skips), f"{path}: no reason"
    names = []
    for node in ast.walk(tree):
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    return tops - {call.args[0].value.partition(".")[0] for call in skips}


@pytest.mark.parametrize("folder", ["tests", *(f"plugins/{path.parent.name}/tests" for path in PLUGINS)])
def test_the_tests_need_no_oracle(folder):
    """Packages that only the extra `oracles` installs are imported with `pytest.importorskip` and a reason."""
    project = toml(ROOT / "pyproject.toml")["project"]
    given = required(project) | required({"dependencies": project["optional-dependencies"]["test"]})
    owners = packages_distributions()
    for path in (ROOT / folder).rglob("*.py"):
        for top in needed(path):
            own = {owner.lower() for owner in owners.get(top, [])}  # none of what a test writes itself
            assert top.startswith("vast_") or not own or own & given, f"{path}: {top}"
