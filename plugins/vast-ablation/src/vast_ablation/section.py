"""The section ``ablate:`` of a recipe, which ``vast ablate`` reads. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

FIXED = ("vast", "base", "name", "seed", "run", "ablate")
"""Keys of a recipe that cannot be varied."""


def _check_vary(_: Ablate, __: attrs.Attribute[Any], vary: Mapping[str, tuple[Any, ...]]) -> None:
    for key, values in vary.items():
        parts = key.split(".")
        if not all(parts):
            raise ValueError(f"{key!r} is not a key of a recipe; write one such as flow.use")
        if parts[0] in FIXED:
            raise ValueError(f"{key} cannot be varied" + ("; use `seeds` to set the seeds" * (parts[0] == "seed")))
        if above := [other for other in vary if key.startswith(f"{other}.")]:
            raise ValueError(f"{key} is part of {above[0]}; vary only one of them")
        if not values:
            raise ValueError(f"{key} has no values; write {key}: [FIRST, SECOND]")
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            raise ValueError(f"{key} has the value {twice[0]!r} twice")


def _check_seeds(_: Ablate, __: attrs.Attribute[Any], seeds: int | tuple[int, ...]) -> None:
    if isinstance(seeds, int):
        if seeds < 1:
            raise ValueError(f"{seeds} seeds are too few; at least one is needed")
    elif not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**31 for seed in seeds):
        raise ValueError(f"{list(seeds)} is not a list of distinct seeds from 0 to 2**31 - 1")


def _check_exclude(section: Ablate, _: attrs.Attribute[Any], exclude: tuple[Mapping[str, Any], ...]) -> None:
    for rule in exclude:
        if not rule:
            raise ValueError("{} would exclude every combination; name at least one factor and its value")
        if fixed := [key for key in rule if key not in section.vary]:
            raise ValueError(f"{fixed[0]} is not varied; exclude combinations of {', '.join(section.vary)}")
        if all(section.vary[key][0] == value for key, value in rule.items()):
            raise ValueError(f"{dict(rule)} is the base cell, made of the first values; put another value first")


@attrs.frozen(kw_only=True)
class Ablate:
    """Options of ``vast ablate``, which runs every combination of the values of ``vary`` with every seed."""

    vary: Mapping[str, tuple[Any, ...]] = attrs.field(factory=dict, validator=_check_vary)
    """The values of each factor, by its key, such as ``flow.use``; the first values form the base cell."""
    exclude: tuple[Mapping[str, Any], ...] = attrs.field(default=(), validator=_check_exclude)
    """Combinations that are not run: each entry has a value for some factors, and excludes all that have these."""
    seeds: int | tuple[int, ...] = attrs.field(default=3, validator=_check_seeds)
    """Number of seeds, starting at the recipe's own, or a list of seeds."""
    stages: tuple[str, ...] | None = None
    """Stages of the recipe that each combination runs; None omits those that cannot affect the results."""
