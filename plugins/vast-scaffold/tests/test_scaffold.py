"""``vast plugins new``: packages of every kind are written, built, installed, tested, listed and named by recipes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vast_core
from vast_core.errors import InputError
from vast_core.registry import KINDS
from vast_scaffold.commands import LONGEST, TEMPLATE, PackageNames

ROOT = Path(__file__).resolve().parents[3]
FASTEST = "flow"
each_kind = pytest.mark.parametrize("kind", KINDS)
each_kind_slowly = pytest.mark.parametrize(
    "kind", [kind if kind == FASTEST else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)


def recipe_of(package: Path) -> str:
    """The recipe that a package's README shows."""
    return re.search(r"^```yaml\n(.*?)^```$", (package / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]


# ------------------------------------------------------------------------------------------ what is written


@each_kind_slowly
def test_a_new_package_is_built_installed_tested_listed_and_used(kind, environment):
    told = environment.vast("plugins", "new", f"Glow {kind}", "--kind", kind)
    package = environment.work / "vast-glow"
    environment.install(package)
    tests = environment.run("-m", "pytest", "-p", "no:cacheprovider", "-q", cwd=package)
    assert tests.returncode == 0, tests.stdout
    assert int(re.search(r"(\d+) passed", tests.stdout)[1]) > 10
    assert re.search(r"\bglow +vast-glow 0\.1\.0 +ready", environment.vast("plugins"))

    (check,) = re.findall(r"^  vast (check .*)$", told, re.MULTILINE)
    shown = environment.vast(*check.replace("'", "").split(" ", 2))
    if kind not in ("corpus", "metric"):
        assert re.search(rf"{kind} +\W +glow +\W", shown)


@pytest.mark.slow
def test_components_of_all_kinds_make_a_whole_run(environment):
    parts = []
    for kind in KINDS:
        environment.vast("plugins", "new", f"my {kind}s", "--kind", kind)
        environment.install(environment.work / f"vast-my-{kind}s")
        parts += recipe_of(environment.work / f"vast-my-{kind}s").splitlines()
    recipe = "\n".join(
        [
            "vast: 1",
            *parts,
            "stages:",
            "  style: {steps: 3, batch: 2}",
            "  renderer: {steps: 2, batch: 1, frames: 4}",
            "  evaluate: {max_clips: 1}",
            "  synthesize: {seconds: 0.5}",
        ]
    )
    recipe = recipe.replace("clips: 6, seconds: 4.0", "clips: 2, seconds: 2.0").replace("size: 128", "size: 64")
    (environment.work / "all.yaml").write_text(recipe)
    environment.vast("run", "all.yaml", "--out", "out")
    assert (environment.work / "out" / "report.html").is_file()
    assert list((environment.work / "out" / "samples").glob("*.mp4"))


def test_every_kind_has_a_template():
    assert {path.name for path in TEMPLATE.iterdir() if path.is_dir()} == {*KINDS, "every"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A package of each kind, under the shortest name and the longest."""
    from vast_scaffold.commands import rendered, write

    folder, packages = tmp_path_factory.mktemp("written"), []
    for number, kind in enumerate(KINDS):
        letter = "abcdefgh"[number]
        for name in (letter, (f"{letter}z_" * LONGEST)[: LONGEST - 1] + "q"):
            packages.append(folder / name)
            write(dict(rendered(PackageNames.of(name, kind), kind)), packages[-1])
    return packages


def test_what_is_written_is_linted(written):
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        for package in written:
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *words, "."], cwd=package, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_written_is_typed(written, tmp_path):
    sources = [package / "src" for package in written]
    packages = [word for source in sources for word in ("-p", next(source.iterdir()).name)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, *packages],
        env=os.environ | {"MYPYPATH": os.pathsep.join(map(str, [*sources, ROOT]))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_what_is_written_can_be_published(written):
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = {*whole["dependencies"], f"vast-avatar>={vast_core.__version__}"}
    for package in written:
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        assert project["name"] == f"vast-{package.name.replace('_', '-')}"
        assert project["requires-python"] == whole["requires-python"]
        assert set(project["dependencies"]) <= bounds
        extras = whole["optional-dependencies"]
        assert set(project["optional-dependencies"]["test"]) <= {*extras["test"], *extras["check"]}
        assert project["entry-points"] == {"vast.v1": {package.name: f"vast_{package.name}.plugin"}}
        imported = set(
            re.findall(
                r"^(?:import|from) (\w+)",
                (package / "src").joinpath(f"vast_{package.name}", f"{package.name}.py").read_text(),
                re.MULTILINE,
            )
        )
        named = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
        assert imported & {"torch", "numpy", "attrs"} <= named
        for needed in ("README.md", "LICENSE", ".gitignore", ".github/workflows/ci.yml"):
            assert (package / needed).stat().st_size
        assert (package / "src" / f"vast_{package.name}" / "py.typed").is_file()
        everything = "".join(path.read_text() for path in package.rglob("*") if path.is_file())
        assert not re.search(r"{[{%]|PACKAGE|NAME\b", everything), "something of the template is left"


# ------------------------------------------------------------------------------------------------- the names


@pytest.mark.parametrize(
    ("given", "name", "distribution", "title"),
    [
        ("vast-glow", "glow", "vast-glow", "Glow"),
        ("glow", "glow", "vast-glow", "Glow"),
        ("Glow Flow", "glow", "vast-glow", "Glow"),
        ("GlowFlow", "glow", "vast-glow", "Glow"),
        ("vast_glow_flow", "glow", "vast-glow", "Glow"),
        ("glow-wide", "glow_wide", "vast-glow-wide", "GlowWide"),
        ("RealNVP", "real_nvp", "vast-real-nvp", "RealNvp"),
        ("flow", "flow", "vast-flow", "Flow"),
        ("spline2d", "spline2d", "vast-spline2d", "Spline2d"),
    ],
)
def test_one_name_makes_all_the_others(given, name, distribution, title):
    names = PackageNames.of(given, "flow")
    assert (names.name, names.distribution, names.title) == (name, distribution, title)
    assert names.package == distribution.replace("-", "_")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "is not a valid name"),
        ("vast-", None),
        ("2d", "must begin with a letter"),
        ("gl/ow", "contain only letters"),
        ("../glow", "contain only letters"),
        ("glöw", "contain only letters"),
        ("class", "a Python keyword"),
        ("lambda flow", "a Python keyword"),
        ("No", "not text in YAML"),
        ("x" * (LONGEST + 1), f"choose a name of at most {LONGEST}"),
    ],
)
def test_a_name_that_cannot_be_is_refused(given, reason):
    if reason is None:
        assert PackageNames.of(given, "flow").name == "vast"
        return
    with pytest.raises(InputError, match=reason):
        PackageNames.of(given, "flow")


# ---------------------------------------------------------------------------------------------- the command


def test_nothing_is_written_over(packages):
    kept = packages.folder / "vast-glow"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    done = packages.vast("plugins", "new", "glow", "--kind", "flow")
    assert done.returncode == 2
    assert "vast-glow exists and is not overwritten" in done.stderr
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]
    done = packages.vast("plugins", "new", "glow", "--kind", "flow", "--out", "elsewhere/glow")
    assert done.returncode == 0, done.stderr
    assert "cd elsewhere/glow" in done.stdout
    assert (packages.folder / "elsewhere" / "glow" / "src" / "vast_glow" / "glow.py").is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["glow"], 2, "Missing option '--kind'"),
        (["glow", "--kind", "flows"], 2, "'flows' is not one of 'corpus', 'face'"),
        (["flows", "--kind", "flow"], 2, "vast_flows is already installed (/"),
        (["core", "--kind", "flow"], 2, "vast_core is already installed (/"),
        (["config", "--kind", "flow"], 2, "the name of another module of the package"),
        (["drawing", "--kind", "face"], 2, "the name of another module of the package"),
        (["glow", "--kind", "flow", "--out", "file/glow"], 1, "file/glow: cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_made_is_refused(packages, words, code, message):
    (packages.folder / "file").touch()
    done = packages.vast("plugins", "new", *words)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert [path.name for path in packages.folder.iterdir()] == ["file"]


def test_a_name_that_another_component_has_is_warned_of(packages):
    done = packages.vast("plugins", "new", "planar", "--kind", "flow")
    assert done.returncode == 0
    assert "Warning: vast-avatar" in done.stderr
    assert "use: vast-planar/planar" in done.stderr
    assert packages.vast("plugins", "new", "planar", "--kind", "style", "--out", "other").stderr == ""


def test_the_command_imports_nothing_heavy():
    code = "import sys, vast_scaffold.commands; print({'torch', 'numpy', 'jinja2', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
