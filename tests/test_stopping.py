"""Signals to stop: exit codes, no half-written file, and a terminal that is gone."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

STAGE = """
from pathlib import Path

@attrs.frozen(kw_only=True)
class Options:
    heeds: bool = False

class Patient:
    def inputs(self, context):
        return {}
    def run(self, context):
        import time
        from rich.progress import track
        from vast_core.errors import Interrupted
        from vast_core.stopping import deferred
        if not context.options("patient", Options).heeds:
            (context.run.path / "began").touch()
            time.sleep(60)
        with deferred() as asked:
            (context.run.path / "began").touch()
            for _ in track(range(600), console=context.console):
                if number := asked():
                    context.console.print("saving")
                    (context.run.path / "saved").touch()
                    raise Interrupted(number, "its state is saved")
                time.sleep(0.1)
        return []

patient = Patient()

@hookimpl
def vast_stages():
    yield StageSpec(name="patient", target="vast_patient:patient", config=Options, summary="Waits.")
"""


@pytest.fixture
def patient(packages):
    packages.add("vast-patient", STAGE)
    (packages.folder / "r.yaml").write_text("vast: 1\nrun: [patient]\n")
    return packages


def begin(packages, *options, **settings):
    process = subprocess.Popen(
        [sys.executable, "-m", "vast_core", "run", "r.yaml", *options],
        env=packages.environment(VAST_CACHE=str(packages.folder / "cache"), TERM="xterm"),
        cwd=packages.folder,
        **settings,
    )
    began = time.monotonic()
    while not (packages.folder / "runs" / "r" / "began").exists():
        assert process.poll() is None
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    time.sleep(0.2)
    return process


@pytest.mark.parametrize(("number", "code", "heeds"), [(signal.SIGTERM, 143, "true"), (signal.SIGHUP, 129, "false")])
def test_a_run_stops_with_a_code_of_its_own(patient, number, code, heeds):
    process = begin(patient, f"stages.patient.heeds={heeds}", stderr=subprocess.PIPE, text=True)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    said = "its state is saved" if heeds == "true" else f"stopped by {number.name}"
    assert (process.returncode, errors.strip().splitlines()[-1]) == (code, said)


def test_a_run_saves_when_its_terminal_is_closed(patient):
    ours, theirs = pty.openpty()
    process = begin(
        patient, "stages.patient.heeds=true", stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    os.close(ours)  # what is written there from now on fails
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 129
    assert (patient.folder / "runs" / "r" / "saved").exists()


def test_nohup_is_heeded(patient):
    process = begin(
        patient, "stages.patient.heeds=true", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143


WRITING = """
import sys, time
from pathlib import Path
import numpy as np
from vast_core.files import replacing
from vast_core.media import VideoWriter
from vast_core.stopping import exit_code, listen

listen()
try:
    with VideoWriter(Path("out.mp4"), 25, np.zeros(16000, np.float32)) as video, replacing(Path("a.json")):
        video.write(np.zeros((64, 64, 3), np.uint8))
        print("writing", flush=True)
        time.sleep(60)
except KeyboardInterrupt as error:
    sys.exit(exit_code(error))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_half_written_file_is_left(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "writing\n"
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert list(tmp_path.iterdir()) == []
