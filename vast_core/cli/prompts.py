"""The style that the prompts of a command describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InputError
from .numbers import FiniteRange

if TYPE_CHECKING:
    from rich.console import Console

    from ..api import Avatar, Style

__all__ = ["factor_option", "strength_option", "style_of"]

Command = TypeVar("Command", bound=Callable[..., Any])


def factor_option(command: Command) -> Command:
    """Add ``--style-factor``, which can be repeated, as the argument ``factors``."""
    return click.option(
        "--style-factor",
        "factors",
        multiple=True,
        metavar="NAME=VALUE",
        help="Factor of the style, from -1 to +1, such as smile=+1, on top of the prompts or alone; can be repeated. "
        "`vast style list` shows which the avatar has.",
    )(command)


def strength_option(command: Command) -> Command:
    """Add ``--style-strength`` as the argument ``style_strength``."""
    return click.option(
        "--style-strength",
        type=FiniteRange(),
        default=1.0,
        show_default=True,
        help="Factor on the style: 0 is neutral, above 1 exaggerates.",
    )(command)


def style_of(
    avatar: Avatar, prompts: Sequence[str], strength: float, factors: Sequence[str], seed: int, console: Console
) -> Style:
    """The style of ``prompts``, each ``PROMPT`` or ``PROMPT:WEIGHT``, with ``factors``, each ``NAME=VALUE``.

    The notes of the tracker are printed. Raises :class:`InputError` as :meth:`vast_core.api.Avatar.style` does, and if
    a text is not of this form.
    """
    from ..speak.prompt import Prompt

    if not prompts and not factors:
        raise InputError("no style: give a prompt, or a factor with --style-factor, or both")
    amounts = parse_factors(factors)
    parsed = [Prompt.parse(text) for text in prompts]
    with console.status("reading the prompts"):
        style = avatar.style(
            *(prompt.source for prompt in parsed),
            weights=[prompt.weight for prompt in parsed],
            strength=strength,
            factors=amounts,
            seed=seed,
        )
    for note in style.notes:
        console.print(note, style="dim")
    return style


def parse_factors(texts: Sequence[str]) -> dict[str, float]:
    """``smile=+1`` and others as values by name.

    Raises :class:`InputError` if a text is not of this form or a name occurs twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            amount = float(value)
        except ValueError:
            raise InputError(f"--style-factor {text}: write NAME=VALUE, such as smile=+1") from None
        if name in found:
            raise InputError(f"--style-factor {text}: {name} is given twice")
        found[name] = amount
    return found
