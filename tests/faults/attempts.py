"""One attempt at the run: a process forked after all imports, with a fault put into it, and watched by its log."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

RECIPE = Path(__file__).with_name("recipe.yaml")
STAGES = ("prepare", "style", "renderer", "evaluate", "synthesize")
PATIENCE = 3600.0
"""Seconds after which an attempt counts as hung."""


class Attempt:
    """``vast run RECIPE --resume`` in a process of its own, started at once."""

    def __init__(
        self,
        folder: Path,
        *,
        run: str = "run",
        cache: str = "cache",
        log: Path | None = None,
        fault: Callable[[], object] = int,
    ) -> None:
        self.folder, self.run, self.cache = folder, folder / run, folder / cache
        self.log = folder / f"{run}.log.txt" if log is None else log
        folder.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        sys.stdout.flush()
        self.process = os.fork()
        if not self.process:
            self._child(fault)

    def _child(self, fault: Callable[[], object]) -> None:
        from vast_core.cli import main

        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            output = os.open(self.log, os.O_WRONLY | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ["VAST_CACHE"] = str(self.cache)
            sys.addaudithook(_without_network)
            fault()
            main(["run", str(RECIPE), "--out", str(self.run), "--resume"])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    @property
    def said(self) -> str:
        """What the attempt has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def reached(self, stage: str) -> bool:
        """Whether the log shows that ``stage``, or one after it, has begun or was kept."""
        begun = {line.partition(":")[0].strip() for line in self.said.splitlines()}
        return bool(begun & {*STAGES[STAGES.index(stage) :], "done"})

    def signal_after(self, stage: str, seconds: float, number: int) -> int:
        """Send the signal ``seconds`` after ``stage`` began, or do nothing if the end comes before; the exit code."""
        began = time.monotonic()
        while not self.reached(stage):
            if (code := self.ended()) is not None:
                return code
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"{self.log}: {stage} did not begin in {PATIENCE:g} s")
            time.sleep(0.05)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if (code := self.ended()) is not None:
                return code
            time.sleep(0.02)
        os.kill(self.process, number)
        return self.wait()

    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.process:
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.process, self.code = 0, os.waitstatus_to_exitcode(status)
        return None if self.process else self.code

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        began = time.monotonic()
        while (code := self.ended()) is None:
            if time.monotonic() - began > PATIENCE:
                os.kill(self.process, signal.SIGKILL)
                raise TimeoutError(f"{self.log}: did not end in {PATIENCE:g} s")
            time.sleep(0.05)
        return code


def _without_network(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse every connection and every look-up of a host: a run needs none."""
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise RuntimeError(f"a run reaches for the network: {event} {arguments}")


def import_everything() -> None:
    """Import what a run needs, so that attempts need not; computes nothing, as threads do not survive a fork."""
    import torch

    from vast_core.pipeline import assemble
    from vast_core.recipe import load_recipe
    from vast_core.registry import Registry
    from vast_core.runner import run_recipe  # noqa: F401

    torch.set_num_threads(1)
    registry = Registry.discover()
    recipe = load_recipe(str(RECIPE), registry)
    for spec in recipe.chosen(None):
        spec.load()
    assemble(recipe, registry)
