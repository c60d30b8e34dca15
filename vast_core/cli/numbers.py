"""Numbers on the command line: floats that are finite, and seeds."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["SEED", "FiniteRange"]

MOST_SEED = 2**63 - 1
"""Largest seed: random generators take 64 bits."""

SEED = click.IntRange(0, MOST_SEED)


class FiniteRange(click.FloatRange):
    """A float in a range; neither "nan", which no comparison refuses, nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The float of a text."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number
