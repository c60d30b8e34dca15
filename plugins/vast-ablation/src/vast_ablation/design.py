"""From factors to cells: every sensible combination, each with a complete recipe. Imports no torch."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import attrs
import yaml

from vast_core.errors import ComponentError, RecipeError
from vast_core.recipe import Draft, Mark, Node, Problem, Reader, Recipe, merged, read_value
from vast_core.registry import PARTS, Component, Registry

from .section import Ablate

Combination = Mapping[str, Node]
"""A value for each factor, by the key of the factor."""


@attrs.frozen(kw_only=True)
class Cell:
    """One combination of settings."""

    name: str
    """The settings as text; ``as it is`` if there are none."""
    settings: Mapping[str, Any]
    recipe: Recipe
    """With the seed of the original recipe."""

    @property
    def slug(self) -> str:
        """Name of the cell's folder."""
        plain = re.sub(r"[^A-Za-z0-9._=+-]+", "_", self.name).strip("._")
        if plain == self.name.replace(" ", "_") and len(plain) <= 80:
            return plain
        return f"{plain[:70]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


@attrs.frozen(kw_only=True)
class Design:
    """The design of an ablation: cells times seeds."""

    recipe: Recipe
    """Recipe of the base cell."""
    vary: Mapping[str, tuple[Any, ...]]
    seeds: tuple[int, ...]
    stages: tuple[str, ...] | None
    """Stages of each cell, if specified."""
    cells: tuple[Cell, ...]
    """The base cell, with the first value of every factor, comes first."""
    notes: tuple[str, ...]
    """Omitted combinations, with reasons."""

    @classmethod
    def read(
        cls, path_or_name: str, registry: Registry, overrides: Sequence[str] = (), vary: Sequence[str] = ()
    ) -> Self:
        """Read a recipe and make its cells; ``vary`` holds factors such as ``flow.use=none,planar``.

        Raises :class:`RecipeError` with all mistakes of the recipe and of all cells at once, each with its position.
        """
        draft = Draft.read(path_or_name, overrides)
        problems = list(draft.problems)
        factors = _command_line(vary, problems)
        changes = merged(draft.changes, Node({"ablate": Node({"vary": factors}, _NOWHERE)} if vary else {}, _NOWHERE))
        draft = attrs.evolve(draft, changes=changes, problems=tuple(problems))
        varied = _factors(draft)
        if not varied:
            recipe, problems = draft.check(registry)
            if recipe is None:
                raise draft.error(problems)
            how = "write --vary flow.use=none,planar, or a section `ablate:`"
            raise RecipeError(f"recipe {recipe.name} has nothing to vary; {how}")
        maker = _Maker(draft, registry)
        cells = tuple(maker.cells(varied))
        if maker.problems:
            raise draft.error(maker.problems)
        section, own = maker.section, cells[0].recipe.seed
        return cls(
            recipe=cells[0].recipe,
            vary=section.vary,
            seeds=section.seeds if isinstance(section.seeds, tuple) else tuple(range(own, own + section.seeds)),
            stages=section.stages,
            cells=cells,
            notes=tuple(maker.notes),
        )


_NOWHERE = Mark("command line", -1, 0, "--vary")


def _command_line(vary: Sequence[str], problems: list[Problem]) -> Node:
    """The factors of the command line; values are read as YAML, so commas in brackets or quotes do not separate."""
    found: dict[str, Node] = {}
    for factor in vary:
        mark = Mark("command line", -1, 0, f"--vary {factor}")
        key, equals, text = factor.partition("=")
        given = (f"--vary {key}",)
        if not equals or not key or not text.strip():
            problems.append(Problem(mark, given, "expected KEY=VALUE,VALUE,..., such as flow.use=none,planar"))
        elif key in found:
            problems.append(Problem(mark, given, f"{key} is given twice"))
        elif (values := read_value(f"[{text}]", (key,), mark, problems)) is not None:
            plain = [_plain(value) for value in values.value]
            if twice := [value for i, value in enumerate(plain) if value in plain[:i]]:
                problems.append(Problem(mark, given, f"{key} has the value {twice[0]!r} twice"))
            else:
                found[key] = values
    return Node(found, _NOWHERE, _NOWHERE)


def _factors(draft: Draft) -> dict[str, list[Node]]:
    """The values of each factor with their positions; empty if one cannot be read, which :meth:`Draft.check`
    reports."""
    node = merged(draft.tree, draft.changes)
    for key in ("ablate", "vary"):
        if not isinstance(node.value, dict) or key not in node.value:
            return {}
        node = node.value[key]
    if not isinstance(node.value, dict) or not all(
        isinstance(own.value, list) and own.value for own in node.value.values()
    ):
        return {}
    return {
        key: [attrs.evolve(value, key_mark=values.heading) for value in values.value]
        for key, values in node.value.items()
    }


class _Maker:
    """Makes the cells of a draft, and collects mistakes in ``problems`` and omissions in ``notes``."""

    def __init__(self, draft: Draft, registry: Registry) -> None:
        self.draft, self.registry = draft, registry
        self.section = Ablate()
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def cells(self, factors: Mapping[str, Sequence[Node]]) -> Iterator[Cell]:
        """The cells of all combinations, without duplicates."""
        combinations = [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]
        trees = [self._laid(combination) for combination in combinations]
        idle = [self._idle(tree) for tree in trees]
        # an option that no component has is a mistake, not a combination to omit
        useful = {option for own in idle for option, why in own.items() if not why}
        strange = {option: tree for tree, own in zip(trees, idle, strict=True) for option in own.keys() - useful}
        for option, tree in strange.items():
            self._strange(option, tree, trees)
        idle = [{option: why for option, why in own.items() if why} for own in idle]
        together: dict[str, list[int]] = {}
        for number, (combination, own) in enumerate(zip(combinations, idle, strict=True)):
            together.setdefault(_name(_without(combination, own)), []).append(number)
        recipes: dict[str, Recipe] = {}
        for name, numbers in together.items():
            first = numbers[0]
            if idle[first]:
                self._note(name, factors, idle[first], len(numbers))
            recipe = self._recipe(_cut(trees[first], idle[first]))
            if recipe is None:
                continue
            if twin := next((other for other, own in recipes.items() if own == recipe), None):
                self.notes.append(f"{name} is omitted: it has the same recipe as {twin}")
                continue
            settings = {key: _plain(node) for key, node in _without(combinations[first], idle[first]).items()}
            if any(all(settings.get(key) == value for key, value in rule.items()) for rule in self.section.exclude):
                self.notes.append(f"{name} is omitted by `exclude`")
                continue
            recipes[name] = recipe
            yield Cell(name=name, settings=settings, recipe=recipe)

    def _strange(self, key: str, tree: Node, trees: Sequence[Node]) -> None:
        """Report once, instead of in each cell, that ``key`` in ``tree`` is an option of no component."""
        part, _, option = key.partition(".")
        components = filter(None, (self._component(part, own) for own in trees))
        known = dict.fromkeys(field.alias for component in components for field in attrs.fields(component.config))
        reader = Reader()
        reader.unknown_key(tree.value[part].value[option], (part, option), ["use", *known])
        self.problems += reader.problems

    def _note(self, name: str, factors: Mapping[str, Any], idle: Mapping[str, str], count: int) -> None:
        varied = [key for key in factors if key not in _without(factors, idle)]
        others = [option for option in idle if not any(_below(key, option) for key in factors)]
        dropped = " and ".join([*varied, *others])
        one = f"; {count} combinations are one cell" if count > 1 else ""
        self.notes.append(
            f"{name}: {' and '.join(idle.values())}, so {dropped} {'is' if len(idle) == 1 else 'are'} omitted{one}"
        )

    def _laid(self, combination: Combination) -> Node:
        """The command line's changes, overlaid with those of a combination."""
        tree = self.draft.changes
        for key, value in combination.items():
            part = value
            for name in reversed(key.split(".")):
                part = Node({name: part}, value.mark, value.key_mark)
            tree = merged(tree, part)
        return tree

    def _idle(self, changes: Node) -> dict[str, str]:
        """Options among ``changes`` that their component lacks, such as ``flow.steps``, with the reason in words."""
        found = {}
        for part in PARTS:
            own = changes.value.get(part)
            if own is None or not isinstance(own.value, dict):
                continue
            component = self._component(part, changes)
            for option in (key for key in own.value if key != "use"):
                # a wrong component name is reported when the recipe is read; here it may have any option
                why = ""
                if component is not None and option not in {field.alias for field in attrs.fields(component.config)}:
                    why = f"{part} {component.name!r} has no option {option!r}"
                found[f"{part}.{option}"] = why
        return found

    def _component(self, part: str, changes: Node) -> Component | None:
        """The component that the recipe with ``changes`` uses; None if its name is wrong."""
        use = merged(self.draft.tree, changes).value[part].value.get("use")
        try:
            return self.registry.get(part, use.value if use is not None else "")
        except (ComponentError, AttributeError, TypeError):
            return None

    def _recipe(self, changes: Node) -> Recipe | None:
        recipe, problems = attrs.evolve(self.draft, changes=changes).check(self.registry)
        self.problems += [problem for problem in problems if problem not in self.problems]
        if recipe is None:
            return None
        others = dict(recipe.sections)
        self.section = others.pop("ablate", self.section)
        return attrs.evolve(recipe, sections=others)


def _below(key: str, option: str) -> bool:
    return key == option or key.startswith(f"{option}.")


def _without(settings: Mapping[str, Any], idle: Mapping[str, str]) -> dict[str, Any]:
    """``settings`` without options that do not exist."""
    return {key: value for key, value in settings.items() if not any(_below(key, option) for option in idle)}


def _cut(changes: Node, idle: Mapping[str, str]) -> Node:
    """``changes`` without options that do not exist."""
    sections = dict(changes.value)
    for key in idle:
        part, _, option = key.partition(".")
        rest = {name: node for name, node in sections[part].value.items() if name != option}
        sections[part] = attrs.evolve(sections[part], value=rest)
    return attrs.evolve(changes, value=sections)


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(item) for key, item in node.value.items()}
    return [_plain(item) for item in node.value] if isinstance(node.value, list) else node.value


def _name(settings: Combination) -> str:
    return " ".join(f"{key}={written(_plain(value))}" for key, value in settings.items()) or "as it is"


def written(value: Any) -> str:
    """A value on one line, as on the command line."""
    listed = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return listed.strip()[1:-1]
