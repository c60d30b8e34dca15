"""The benchmarks run, and both sides of each give the same numbers; no test asserts a time."""

import re
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent / "benchmarks"


def test_forms_of_the_householder_flow():
    options = ["--batch", "1", "3", "--size", "4", "--steps", "1", "9", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "householder_forms.py"), *options], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines() if re.match(r" +\d+ +\d+ +\d+ ", line)]
    assert [row[:3] for row in rows] == [[batch, "4", steps] for batch in "13" for steps in "19"]
    assert all(len(row) == 9 and float(row[8]) < 1e-6 for row in rows)


def test_cost_of_every_flow():
    options = ["--batch", "2", "--size", "4", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "flows.py"), *options], capture_output=True, text=True, check=True
    )
    names = {line.split()[0] for line in done.stdout.splitlines()[2:]}
    assert {"none", "householder", "planar", "radial"} <= names


def test_the_benchmark_of_speaking_imports_what_it_measures():
    code = "import speaking, footage, machine; print(machine.named())"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert "cores" in done.stdout
    done = subprocess.run([sys.executable, str(BENCHMARKS), "--help"], capture_output=True, text=True, check=True)
    assert "speaking, parts, lengths" in done.stdout
