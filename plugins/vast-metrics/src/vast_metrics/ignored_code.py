"""Whether a style code may be ignored: style retrieval that could be chance. Imports no torch."""

from __future__ import annotations


def ignored_code(retrieval: float, low: float | None, chance: float) -> str:
    """A warning if style retrieval cannot be told from ``chance``; empty otherwise.

    ``low`` is the lower end of the 95 % interval of ``retrieval``, None if there are too few clips for one; then the
    value itself must exceed chance. If it does not, the performances do not show whose prompt they were given.
    """
    if (retrieval if low is None else low) > chance:
        return ""
    told = f"style retrieval is {retrieval:.3f}"
    if low is None:
        told += f", not above chance, {chance:.3f}"
    elif retrieval > chance:
        told += f", and its 95 % interval, from {low:.3f}, contains chance, {chance:.3f}"
    else:
        told += f", and chance is {chance:.3f}"
    return f"the style code may be ignored: {told}; the faces do not show which prompt was given"
