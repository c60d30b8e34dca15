"""The licences of everything that a recipe uses, of code and of weights, and whether they allow commercial use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata

import attrs

from ..errors import ComponentError, UnreachableError, WeightsError
from ..files.remote import fetched
from ..recipe.model import Recipe, Use, nested_uses
from ..registry.declarations import PARTS, Component
from ..registry.registry import Registry
from .weights import read_header

__all__ = ["Link", "chain", "code_licence", "started", "verdict"]

ALLOWING = frozenset(
    (
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    )
)
"""Licences that allow commercial use, whatever else they ask."""
_FORBIDS = re.compile(r"\bNC\b|non-?commercial|research only", re.IGNORECASE)
UNKNOWN = "unknown"
START = "start: "
"""Before the parts of the weights from which a training started."""


@attrs.frozen(kw_only=True)
class Link:
    """One part of the chain."""

    part: str
    """Kind and name."""
    package: str
    code: str
    """Licence of the code."""
    weights: str
    """Licence of the weights or data that it brings or reads; empty if it has none."""


def chain(recipe: Recipe) -> list[Link]:
    """The licences of all components of a recipe, in the order of the data, metrics left out: they make nothing."""
    used = [use for kind in PARTS if (use := recipe.use(kind)) is not None]
    return [link for use in used for link in _links(use)]


def started(recipe: Recipe, registry: Registry) -> list[Link]:
    """The licences of what made the weights from which the style stage starts; empty if it starts from nothing.

    They are those that the header of the weights states; of weights without them, those of its components as they are
    installed. Weights that cannot be read have unknown ones.
    """
    start = getattr(recipe.stages.get("style"), "start", None)
    if start is None:
        return []
    try:
        header = read_header(fetched(start))
    except (WeightsError, UnreachableError):
        header = {}
    if stated := header.get("licences"):
        links = [Link(**link) for link in stated]
        return [attrs.evolve(link, part=f"{START}{link.part.removeprefix(START)}") for link in links]
    made: Mapping[str, str] = header.get("components", {})
    links = []
    for kind, text in made.items():
        name = text.partition(" (")[0]
        try:
            own = registry.get(kind, name)
        except ComponentError:
            links.append(Link(part=f"{START}{kind} {name}", package=text, code=UNKNOWN, weights=UNKNOWN))
        else:
            links.append(
                Link(
                    part=f"{START}{kind} {name}",
                    package=own.provider,
                    code=code_licence(own),
                    weights=own.weights_licence,
                )
            )
    return links or [Link(part="start", package=str(start), code="", weights=UNKNOWN)]


def code_licence(component: Component) -> str:
    """The licence that a component's package states, as an SPDX expression if it gives one."""
    try:
        stated = metadata(component.distribution)
    except (PackageNotFoundError, ValueError):
        return UNKNOWN
    said = [line for key in ("License-Expression", "License") for line in stated.get_all(key) or ()]
    classified = [line.rpartition(" :: ")[2] for line in stated.get_all("Classifier") or () if "License ::" in line]
    found = [text for text in (*said, *classified) if text.strip()]
    return found[0].splitlines()[0] if found else UNKNOWN


def verdict(links: Sequence[Link]) -> tuple[bool | None, str]:
    """Whether commercial use is possible, None if it cannot be told, and why, in words."""
    stated = [(link.part, licence) for link in links for licence in (link.code, link.weights) if licence]
    if forbidden := [f"{part} ({licence})" for part, licence in stated if _FORBIDS.search(licence)]:
        return False, f"forbidden by {'; '.join(dict.fromkeys(forbidden))}"
    unclear = [
        f"{part} ({licence})" for part, licence in stated if re.split(r"[ ;,(]", licence, maxsplit=1)[0] not in ALLOWING
    ]
    if unclear:
        return None, f"nothing forbids it, but only you can tell for {'; '.join(dict.fromkeys(unclear))}"
    return True, "everything in the chain allows it"


def _links(use: Use) -> Iterator[Link]:
    own = use.component
    yield Link(part=f"{own.kind} {own.name}", package=own.provider, code=code_licence(own), weights=own.weights_licence)
    for nested in nested_uses(use.config):
        yield from _links(nested)
