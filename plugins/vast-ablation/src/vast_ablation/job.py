"""One run as a separate process, here or in a Ray worker. Imports no torch."""

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
"""Maximum lines of a failed run's output that are kept."""


@attrs.frozen(kw_only=True)
class Job:
    """``vast run`` of one recipe into one folder."""

    recipe: Path
    out: Path
    cwd: Path
    """Folder that relative paths in the recipe refer to."""
    threads: int
    """Number of CPU threads; ``OMP_NUM_THREADS`` in the environment has precedence."""
    carried: Mapping[str, str] = attrs.field(factory=dict)
    """Environment variables passed to another machine."""

    @property
    def log(self) -> Path:
        """The output of all attempts."""
        return self.out / "log.txt"

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Environment variables of the process."""
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
class JobOutcome:
    """How a job ended."""

    error: str
    """Empty if successful."""


class Running(Protocol):
    """A job that has been started."""

    def outcome(self) -> JobOutcome | None:
        """How it ended; None while it is running."""
        ...

    def stop(self) -> None:
        """Tell it to save its state and end."""
        ...

    def wait(self) -> None:
        """Return once it has ended after :meth:`stop`."""
        ...


class Engine(Protocol):
    """Runs jobs."""

    @property
    def jobs(self) -> int:
        """Number of parallel jobs."""
        ...

    def start(self, job: Job) -> Running:
        """Start a job."""
        ...


class Process:
    """A job in a process on this machine."""

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
            start_new_session=True,  # only this process gets Ctrl-C, and passes it on
            preexec_fn=_listen_to_interrupts,
        )

    def outcome(self) -> JobOutcome | None:
        """How it ended; None while it is running."""
        code = self._process.poll()
        if code is None:
            return None
        self._log.close()
        return JobOutcome(error=self._error(code) if code else "")

    def stop(self) -> None:
        """Tell it to save its state and end."""
        self._process.send_signal(signal.SIGINT)  # has no effect if it has already ended

    def wait(self) -> None:
        """Return once it has ended; it is killed if that takes longer than :data:`GRACE_SECONDS`."""
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
        return "\n".join(lines[start:][:ERROR_LINES]).removeprefix("Error: ") or f"exited with code {code}"


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
    """Enable SIGINT: background jobs of a shell ignore Ctrl-C, and so would their child processes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
