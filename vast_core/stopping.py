"""Signals that ask a program to stop: Ctrl-C, and those of schedulers, containers and closed terminals.

All end the program in order: files that are not complete are removed, and training saves its state.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["exit_code"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal other than that of Ctrl-C asked the program to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(error: BaseException) -> int:
    """128 and the number of the signal, as shells have it: 129 for SIGHUP, 130 for SIGINT (Ctrl-C), 143 for SIGTERM."""
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


def listen() -> None:
    """Let SIGTERM and SIGHUP raise :class:`Stopped`; a program started with ``nohup`` goes on ignoring SIGHUP."""
    terminals = [stream for stream in (1, 2) if _is_terminal(stream)]

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _hush(terminals)
        raise Stopped(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)


@contextmanager
def deferred() -> Iterator[Callable[[], int]]:
    """Turn the first signal into a number, 0 until it comes, so that no step is interrupted; a second one stops at
    once."""
    asked = 0
    terminals = [stream for stream in (1, 2) if _is_terminal(stream)]

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if number == signal.SIGHUP:
            _hush(terminals)
        if asked:
            raise Stopped(number) if number != signal.SIGINT else KeyboardInterrupt
        asked = number

    before = {}
    try:
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: the code that started the thread handles the signal
        yield lambda: 0
        return
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_terminal(stream: int) -> bool:
    try:
        return os.isatty(stream)
    except OSError:
        return False


def _hush(terminals: list[int]) -> None:
    """Write nothing more to a terminal that has gone: that would fail before the state is saved."""
    for stream in terminals:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream)
        os.close(nowhere)
