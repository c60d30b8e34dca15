"""``vast plugins show``: documentation and options of one component, stage or section."""

from __future__ import annotations

import difflib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..cli import Session

if TYPE_CHECKING:
    from ..recipe.options import Option
    from ..registry.declarations import Component, SectionSpec, StageSpec
    from ..registry.registry import Registry


@click.command()
@click.argument("name", metavar="KIND/NAME")
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Show everything about a component, a stage or a section of a recipe.

    Shows what it does, its package, every option with type, range and default, and the packaged recipes that use it.
    KIND/NAME is as in `vast plugins`, such as flow/householder or stage/prepare, or flow/vast-glow/glow if two packages
    have one of that name. The name alone is enough if it is unique.

    \b
    Example:
      vast plugins show flow/householder
      vast plugins show stage/prepare
    """
    from rich.text import Text

    from ..console import plain_console

    console = plain_console()
    for number, line in enumerate(page(find(session.registry, name), session.registry, min(console.width, 100))):
        console.print(Text(line, "bold" if number == 0 else ""), soft_wrap=True)


def find(registry: Registry, name: str) -> Component | StageSpec | SectionSpec:
    """The component, stage or section of a name: ``flow/householder``, ``flow/vast-glow/glow`` or ``householder``.

    Raises :class:`vast_core.errors.ComponentError` if there is none or several; the message shows what to write.
    """
    from ..errors import ComponentError
    from ..registry.declarations import KINDS

    kind, slash, rest = name.partition("/")
    if slash and kind in ("stage", "section"):
        return registry.stage(rest) if kind == "stage" else registry.section(rest)
    if slash and kind in KINDS:
        return registry.get(kind, rest)
    everything: list[tuple[str, str, str]] = [(c.kind, c.name, c.distribution) for c in registry.components()]
    everything += [(s.sort, s.name, s.distribution) for s in (*registry.stages, *registry.sections)]
    found = sorted({k for k, bare, owner in everything if name in (bare, f"{owner}/{bare}")})
    if len(found) == 1:
        return find(registry, f"{found[0]}/{name}")
    if found:
        raise ComponentError(f"{name!r} is ambiguous; write {' or '.join(f'{k}/{name}' for k in found)}")
    known = {bare: f"{k}/{bare}" for k, bare, _ in everything}
    close = difflib.get_close_matches(name.rpartition("/")[2], known, n=1)
    hint = f"; did you mean {known[close[0]]}?" if close else ""
    raise ComponentError(f"nothing is called {name!r}{hint} (`vast plugins` lists what is installed)")


def page(declared: Component | StageSpec | SectionSpec, registry: Registry, width: int) -> Iterator[str]:
    """The lines to show."""
    from ..recipe.options import options
    from ..registry.declarations import Component, SectionSpec, StageSpec
    from ..runs.licences import code_licence

    kind = declared.kind if isinstance(declared, Component) else declared.sort
    place = declared.config.__module__ if isinstance(declared, SectionSpec) else declared.target
    yield from _wrapped(f"{kind}/{declared.name}: {declared.summary}", width)
    yield f"Provided by {declared.provider or 'vast itself'}, in {place}"
    if isinstance(declared, Component):
        weights = f"; of its weights or data: {declared.weights_licence}" if declared.weights_licence else ""
        yield from _wrapped(f"Licence of the code: {code_licence(declared)}{weights}", width)
    if isinstance(declared, StageSpec):
        yield f"Needs {', '.join(declared.needs) or 'no component'}"
    elif isinstance(declared, Component) and declared.reference:
        yield from _wrapped(f"Reference: {declared.reference}", width)
    yield ""
    yield from _doc(declared, width)
    given = options(declared.config)
    yield "Options" if given else "No options"
    for option in given:
        yield from _option(option, width)
    yield ""
    uses = list(_uses(declared, registry))
    yield "Packaged recipes that use it" if uses else "No packaged recipe uses it"
    for recipe, changed in uses:
        yield from _wrapped(f"{recipe}: {changed}" if changed else recipe, width, "  ")


def _doc(declared: Component | StageSpec | SectionSpec, width: int) -> Iterator[str]:
    """The docstring of the code, or the reason why it is unavailable."""
    from ..errors import ComponentError
    from ..registry.declarations import SectionSpec

    try:
        code = declared.config if isinstance(declared, SectionSpec) else declared.load()
        doc = inspect.cleandoc(code.__doc__ or "")
    except ComponentError as error:
        doc = f"It cannot be loaded: {error}"
    plain = re.sub(r":\w+:`", "`", doc.replace("``", "`"))
    for paragraph in filter(None, plain.split("\n\n")):
        lines = paragraph.splitlines()
        in_columns = any(line[:1] in (" ", "*", "-", "=", "|", "+") for line in lines)  # keep its layout
        yield from lines if in_columns else _wrapped(paragraph, width)
        yield ""


def _option(option: Option, width: int) -> Iterator[str]:
    from ..recipe.options import written

    default = "no default, required" if option.required else f"default {written(option.default)}"
    facts = "; ".join(filter(None, [option.kind, option.range, default]))
    yield from _wrapped(f"{option.name}: {facts}", width, "  ")
    yield from _wrapped(option.doc, width, "      ", "      ")


def _uses(declared: Component | StageSpec | SectionSpec, registry: Registry) -> Iterator[tuple[str, str]]:
    """The packaged recipes that use it, each with the options that differ from the defaults."""
    from ..errors import RecipeError
    from ..recipe.finding import packaged_recipes
    from ..recipe.loading import load_recipe
    from ..recipe.options import options, written
    from ..registry.declarations import Component, StageSpec

    for name in packaged_recipes():
        try:
            recipe = load_recipe(name, registry)
        except RecipeError:  # it needs a package that is not installed or not loaded
            continue
        if isinstance(declared, Component):
            used = recipe.metrics if declared.kind == "metric" else (recipe.use(declared.kind),)
            configs = [use.config for use in used if use is not None and use.component == declared]
        elif isinstance(declared, StageSpec):
            configs = [recipe.options(declared.name, declared.config)] if declared in recipe.run else []
        else:
            configs = [recipe.sections[declared.name]] if declared.name in recipe.sections else []
        for config in configs:
            values = [(option, getattr(config, option.attribute)) for option in options(type(config))]
            yield name, ", ".join(f"{o.name} {written(value)}" for o, value in values if value != o.default)


def _wrapped(text: str, width: int, indent: str = "", hanging: str = "") -> list[str]:
    """Text in lines of ``width``; the first line starts with ``indent``, others with ``hanging`` or a deeper indent."""
    further = hanging or (indent + "    " if indent else "")
    flat = " ".join(text.split())
    return textwrap.wrap(
        flat, width, initial_indent=indent, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )
