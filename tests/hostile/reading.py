"""Read inputs under watch: the time, the memory, the errors, and the files that are opened for writing."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import FrameType

import attrs
from hypothesis import HealthCheck, Phase, given, settings

from vast_core.errors import VastError

from .targets import Target

LONGEST = 5.0
"""Seconds of a processor that one file may take."""

HANGING = 30.0
"""Seconds after which reading hangs, however busy the machine is."""

MOST_MEMORY = 1 << 30
"""Bytes by which memory may grow."""


@attrs.define
class Result:
    """What became of the inputs of one target."""

    inputs: int = 0
    refused: int = 0
    read: int = 0
    wrong: str = ""
    """The smallest input that was found to be wrong, and why."""
    slowest: float = 0.0


class Wrong(AssertionError):
    """A file was read in a way that is not allowed."""


def attack(target: Target, inputs: int, derandomize: bool = False) -> Result:
    """Let a target read ``inputs`` files."""
    result = Result()
    with tempfile.TemporaryDirectory(prefix="vast-hostile-") as folder:
        path = Path(folder).resolve() / target.file

        @settings(
            max_examples=inputs,
            deadline=None,
            database=None,
            derandomize=derandomize,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(target.inputs)
        def read(content: bytes) -> None:
            path.write_bytes(content)
            result.inputs += 1
            began = time.process_time()
            try:
                with warnings.catch_warnings(), _watched(path.parent):
                    warnings.simplefilter("ignore")
                    target.read(path)
                result.read += 1
            except VastError as error:
                result.refused += 1
                if not str(error).strip():
                    raise Wrong("an error without a message") from error
            seconds = time.process_time() - began
            result.slowest = max(result.slowest, seconds)
            if seconds > LONGEST:
                raise Wrong(f"took {seconds:.1f} s")

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            result.wrong = f"{type(error).__name__}: {error}"
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if not result.wrong and grown > MOST_MEMORY:
            result.wrong = f"memory grew by {grown / 1e9:.1f} GB"
    return result


class _watched:
    """Ends what takes too long, and refuses files elsewhere."""

    active: Path | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        type(self).active = self.folder
        signal.signal(signal.SIGALRM, _late)
        signal.setitimer(signal.ITIMER_REAL, HANGING)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        type(self).active = None


def _late(number: int, frame: FrameType | None) -> None:
    raise Wrong(f"took more than {HANGING:g} s")


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    folder = _watched.active
    if folder is not None and event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int):
        path = os.path.realpath(arguments[0])
        writes = arguments[2] & (os.O_WRONLY | os.O_RDWR) and not path.startswith("/dev/")
        if writes and not Path(path).is_relative_to(folder):
            _watched.active = None
            raise Wrong(f"opened {path} for writing")


sys.addaudithook(_hook)
