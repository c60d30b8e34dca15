"""What GitHub runs: the files parse, and the commands, files, extras and versions that they name exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
CONSTRAINTS = {
    own.name.lower().replace("_", "-"): own
    for own in map(Requirement, (ROOT / ".ci/constraints.txt").read_text().splitlines())
}
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def workflow(path):
    return yaml.safe_load(path.read_text())


def commands(path):
    """Words of each command that a step of the workflow runs."""
    steps = [step for job in workflow(path)["jobs"].values() for step in job["steps"]]
    return [shlex.split(line) for step in steps for line in step.get("run", "").splitlines()]


def pythons(path):
    """Versions of Python that a workflow asks for, those of a matrix included."""
    for job in workflow(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        yield from matrix.get("python", [])
        yield from (own["python"] for own in matrix.get("include", []) if "python" in own)
        for step in job["steps"]:
            asked = step.get("with", {}).get("python-version", "${{")
            yield from [asked] if not asked.startswith("${{") else []


def test_there_are_workflows():
    assert {path.name for path in WORKFLOWS} >= {"ci.yml", "docs.yml", "release.yml"}


@each_workflow
def test_a_workflow_has_little_power_and_ends(path):
    """Only the publishing jobs, including that of the docs, may request an identity; no step reads a secret."""
    publishing = {"id-token": "write"} | ({"pages": "write"} if path.name == "docs.yml" else {})
    own = workflow(path)
    assert own["permissions"] == {"contents": "read"}
    for name, job in own["jobs"].items():
        assert job["timeout-minutes"] <= 60
        assert job.get("permissions") == (publishing if name == "publish" else None)
    assert "secrets." not in path.read_text()


@each_workflow
def test_pythons_are_those_that_the_package_allows(path):
    asked = list(pythons(path))
    assert asked
    assert all(isinstance(version, str) for version in asked), "3.10 without quotes is 3.1"
    assert not [version for version in asked if version not in SpecifierSet(PROJECT["requires-python"])]


def test_the_oldest_python_is_among_those_of_ci():
    oldest = min(pythons(ROOT / ".github/workflows/ci.yml"), key=lambda version: int(version.split(".")[1]))
    assert PROJECT["requires-python"] == f">={oldest}"


@each_workflow
def test_what_a_workflow_runs_exists(path):
    found = commands(path)
    assert found
    for words in found:
        program = words[0]
        if program.startswith("."):
            assert os.access(ROOT / program, os.X_OK), words
            options = set(re.findall(r"^  (--\w+)\)", (ROOT / program).read_text(), re.MULTILINE))
            assert options >= set(words[1:]), words
        else:
            assert program in {"mkdocs", "pip", "pytest", "python", "test", "twine", "uv"}, words
        for extras in re.findall(r"\.\[([\w,]+)\]", " ".join(words)):
            assert PROJECT["optional-dependencies"].keys() >= set(extras.split(",")), words
        for name in words[1:]:
            if name.startswith((".ci/", ".github/", "tests/", "recipes/")):
                assert (ROOT / name).exists(), words


def test_constraints_hold_what_is_required_and_pin_it():
    """Torch itself pins the packages that it installs on one system only."""
    needed = [Requirement(line) for line in PROJECT["dependencies"]]
    needed += [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for own in needed:
        pin = CONSTRAINTS[own.name.lower().replace("_", "-")]
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert specifier.version in own.specifier, f"{pin} is not {own}"
    assert not [name for name in CONSTRAINTS if name.startswith(("nvidia", "cuda", "triton", "vast"))]


def test_constraints_allow_one_another():
    """No package here refuses a pin; pip would find it only after minutes, and then install nothing."""
    refused = []
    for distribution in distributions():
        for needed in map(Requirement, distribution.requires or ()):
            pin = CONSTRAINTS.get(needed.name.lower().replace("_", "-"))
            if pin is None or (needed.marker is not None and not needed.marker.evaluate({"extra": ""})):
                continue
            (specifier,) = pin.specifier
            if not needed.specifier.contains(specifier.version, prereleases=True):
                refused.append(f"{distribution.name} needs {needed}, not {pin}")
    assert not refused


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name)
def test_issue_forms_parse_and_ask_for_something(path):
    form = yaml.safe_load(path.read_text())
    if path.name != "config.yml":
        assert form["name"]
        assert form["description"]
        assert len({item["id"] for item in form["body"]}) == len(form["body"])


def test_the_citation_and_the_changelog_are_of_this_version():
    citation = yaml.safe_load((ROOT / ".github/CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / ".github/CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_links_of_the_readme_work_on_the_package_index(tmp_path):
    text = (ROOT / "README.md").read_text()
    (tmp_path / "README.md").write_text(text)
    command = [sys.executable, str(ROOT / ".ci/absolute_links.py"), "https://git.example/us/vast", "v1.2"]
    subprocess.run(command, cwd=tmp_path, check=True)
    links = re.findall(r"\]\(([^)\s]+)\)", (tmp_path / "README.md").read_text())
    assert links == [
        f"https://git.example/us/vast/{'raw' if link.endswith('.png') else 'blob'}/v1.2/{link}"
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
    ]
