"""A few faults; ``python tests/faults`` tries all of them, and prints the table of the docs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_nothing_is_lost_when_a_run_is_killed_or_its_disk_is_full():
    command = [sys.executable, str(ROOT / "tests" / "faults"), "--kills", "6", "--only", "killed", "writing", "order"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    rows = re.findall(r"^\| .* \| (\d+) \| (\d+) \| (\d+) \|$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert len(rows) == 3
    assert all(int(tried) == int(survived) > 0 and lost == "0" for tried, survived, lost in rows)
    assert sum(int(tried) for tried, _, _ in rows[:2]) >= 5
