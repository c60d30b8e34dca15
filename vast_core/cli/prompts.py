"""The style that the prompts of a command describe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ..api import Avatar, Style


def style_of(avatar: Avatar, prompts: Sequence[str], strength: float, seed: int, console: Console) -> Style:
    """The style of ``prompts``, each ``PROMPT`` or ``PROMPT:WEIGHT``; the notes of the tracker are printed."""
    from ..speak.prompt import Prompt

    parsed = [Prompt.parse(text) for text in prompts]
    with console.status("reading the prompts"):
        style = avatar.style(
            *(prompt.source for prompt in parsed),
            weights=[prompt.weight for prompt in parsed],
            strength=strength,
            seed=seed,
        )
    for note in style.notes:
        console.print(f"[dim]{note}[/dim]")
    return style
