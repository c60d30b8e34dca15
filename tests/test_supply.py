"""What vast brings along may be used commercially, is listed, and reaches nobody over the network."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def supply():
    spec = importlib.util.spec_from_file_location("supply", ROOT / ".ci" / "supply.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_package_may_be_used_commercially(supply):
    found = supply.packages()
    assert {"torch", "numpy", "jinja2", "markupsafe"} <= found.keys(), "those of those that vast needs, too"
    assert [name for name, (package, _) in found.items() if not supply.is_free(name, supply.licence(package))] == []


def test_a_release_lists_the_packages_of_every_extra(supply):
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"].values()
    commands = "\n".join(step.get("run", "") for job in jobs for step in job["steps"])
    (installed,) = re.findall(r"pip install .*whl\)\[([\w,]+)\]", commands)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(installed.split(",")) == extras.keys() - set(supply.DEVELOPERS)


@pytest.mark.parametrize(
    ("stated", "free"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND Zlib", True),
        ("GPL-3.0 OR MIT", True),
        ("(Apache-2.0 WITH LLVM-exception)", True),
        ("MIT AND GPL-3.0-only", False),
        ("GNU Affero General Public License v3", False),
        ("CC-BY-NC-4.0", False),
        ("LicenseRef-NVIDIA-Proprietary", False),
        ("", False),
    ],
)
def test_licences_are_told_apart(supply, stated, free):
    assert supply.is_free("some-package", stated) == free


def test_the_bill_of_materials_is_whole_and_the_same_twice(supply):
    found = supply.packages()
    bill = supply.sbom(found)
    assert bill == supply.sbom(found)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    references = {bill["metadata"]["component"]["bom-ref"], *(part["bom-ref"] for part in bill["components"])}
    assert len(references) == len(found)
    assert {link["ref"] for link in bill["dependencies"]} == references
    assert all(set(link["dependsOn"]) <= references for link in bill["dependencies"])
    assert all(part["licenses"][0]["license"]["name"] for part in bill["components"])


@pytest.mark.slow
def test_a_wheel_that_is_built_twice_is_the_same_bytes(tmp_path):
    options = ["-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    wheels = []
    for name in ("one", "two"):
        checkout = tmp_path / name / "checkout"
        for part in ("vast_core", "plugins", "recipes"):  # times and owner of files differ, as in another clone
            shutil.copytree(ROOT / part, checkout / part, copy_function=shutil.copyfile)
        for part in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            shutil.copyfile(ROOT / part, checkout / part)
        made = tmp_path / name / "wheel"
        subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(made), str(checkout)], check=True)
        (wheel,) = made.glob("*.whl")
        wheels.append((wheel.name, wheel.read_bytes()))
    assert wheels[0] == wheels[1]
