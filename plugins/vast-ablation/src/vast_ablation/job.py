"""One run as a process of its own, here or in a Ray worker. Imports no torch."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Protocol

import attrs

from vast_core.errors import StorageError

from .sharing import GRACE_SECONDS, PARENT

ERROR_LINES = 30
"""Of what a run says when it fails, the most that are kept."""


@attrs.frozen(kw_only=True)
class Job:
    """``vast run`` of one recipe into one folder."""

    recipe: Path
    out: Path
    cwd: Path
    """Where relative paths in the recipe start."""
    threads: int
    """Of the computation; an ``OMP_NUM_THREADS`` in the environment comes first."""
    carried: Mapping[str, str] = attrs.field(factory=dict)
    """Environment variables that it takes along to another machine."""

    @property
    def log(self) -> Path:
        """All that the run says, attempt after attempt."""
        return self.out / "log.txt"

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Of the process."""
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        return {
            "COLUMNS": "120",
            **threads,
            **inherited,
            **self.carried,
            PARENT: str(os.getpid()),
            "PYTHONUNBUFFERED": "1",
        }


@attrs.frozen(kw_only=True)
class Outcome:
    """How a job ended."""

    error: str
    """Empty where all went well."""


class Running(Protocol):
    """A job that has been started."""

    def outcome(self) -> Outcome | None:
        """How it ended; None while it goes on."""
        ...

    def stop(self) -> None:
        """Tell it to save its state and end."""
        ...

    def wait(self) -> None:
        """Return once it has ended after :meth:`stop`."""
        ...


class Engine(Protocol):
    """Where jobs run."""

    @property
    def jobs(self) -> int:
        """At a time."""
        ...

    def start(self, job: Job) -> Running:
        """Start a job."""
        ...


class Process:
    """A job in a process of this machine."""

    def __init__(self, job: Job) -> None:
        self._job, self._log = job, _opened(job.log)
        self._begin = self._log.tell()
        command = [sys.executable, "-m", "vast_core", "run", str(job.recipe), "--out", str(job.out), "--resume"]
        self._process = subprocess.Popen(
            command,
            cwd=job.cwd,
            env=job.environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we pass it on
            preexec_fn=_listen_to_interrupts,
        )

    def outcome(self) -> Outcome | None:
        """How it ended; None while it goes on."""
        code = self._process.poll()
        if code is None:
            return None
        self._log.close()
        return Outcome(error=self._error(code) if code else "")

    def stop(self) -> None:
        """Tell it to save its state and end."""
        self._process.send_signal(signal.SIGINT)  # nothing happens where it has ended already

    def wait(self) -> None:
        """Return once it has ended; it is killed where that takes longer than :data:`GRACE_SECONDS`."""
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _error(self, code: int) -> str:
        with self._job.log.open(encoding="utf-8", errors="replace") as file:
            file.seek(self._begin)
            lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.read()).replace("\r", "\n").split("\n")
        lines = [line.rstrip() for line in lines if line.strip()]
        if code < 0:
            name = signal.Signals(-code).name
            reason = "; the system may have run out of memory" if -code == signal.SIGKILL else ""
            return f"killed by {name}{reason}"
        start = max((i for i, line in enumerate(lines) if line.startswith(("Error:", "Traceback"))), default=-5)
        return "\n".join(lines[start:][:ERROR_LINES]).removeprefix("Error: ") or f"ended with code {code}"


def _opened(log: Path) -> IO[str]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("a", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{log}: cannot be written ({error.strerror}); choose another --out") from error
    file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    file.flush()
    return file


def _listen_to_interrupts() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
