"""Numbers on the command line: floats that are finite, seeds, threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["SEED", "FiniteRange", "threads_option"]

Command = TypeVar("Command", bound=Callable[..., Any])

MOST_SEED = 2**63 - 1
"""Largest seed: random generators take 64 bits."""

SEED = click.IntRange(0, MOST_SEED)


def threads_option(command: Command) -> Command:
    """The option ``--threads``: a number, or None, which :func:`vast_core.device.use_threads` takes."""
    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        help="Threads of each computation.  [one or all, whichever a short measurement at the start finds faster]",
    )(command)


class FiniteRange(click.FloatRange):
    """A float in a range; neither "nan", which no comparison refuses, nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The float of a text."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number
