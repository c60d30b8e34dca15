"""``vast verify``: a changed file is found, a repeated step has the same losses, and nothing is written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vast_core.errors import InputError
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs import load_weights, save_weights
from vast_core.verifying import verify

RECIPE = Path(__file__).parent / "faults" / "recipe.yaml"

pytestmark = pytest.mark.slow


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


def test_what_cannot_be_repeated_is_unknown(trained, registry, monkeypatch, tmp_path):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "empty"))
    check = results(trained, registry)["stage style"]
    assert check.right is None
    assert "prepare" in check.found
    with pytest.raises(InputError, match="not the folder of a run"):
        list(verify(tmp_path, registry))


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
        tmp_path,
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
