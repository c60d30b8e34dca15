"""From a file and the command line to a checked recipe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import attrs

from ..errors import ComponentError, RecipeError
from ..registry.declarations import PARTS, RECIPE_KEYS, Kind, Part, StageSpec
from ..registry.registry import Registry
from .document import UNREADABLE, Node, Problem, merged, read_document, read_overrides, recipe_error, shown
from .finding import find_recipe
from .model import VERSION, Recipe, Use
from .reader import INVALID, KeyPath, Reader


def _read_tree(path: Path, problems: list[Problem], inside: tuple[Path, ...] = ()) -> Node:
    """The tree of a file merged over that of its ``base``; mistakes are added to ``problems``.

    Raises :class:`RecipeError` if a file is not YAML or its base cannot be found, because nothing more can be checked.
    """
    tree = read_document(path, problems)
    version, base = tree.value.get("vast"), tree.value.pop("base", None)
    if version is not None and version.raw != str(VERSION):
        message = f"this vast reads recipes of version {VERSION}, not {version.raw or 'nothing'}"
        problems.append(Problem(version.mark, ("vast",), message))
    if base is None:
        return tree

    def give_up(reason: str) -> RecipeError:
        return recipe_error(shown(path), [*problems, Problem(base.mark, ("base",), reason)])

    if not isinstance(base.value, str):
        raise give_up("expected the path or name of a recipe")
    try:
        found = find_recipe(base.value, beside=path.parent)
    except RecipeError as error:
        raise give_up(str(error)) from error
    chain = (*inside, path.resolve())
    if found.resolve() in chain:
        circle = " -> ".join(shown(p) for p in (*chain[chain.index(found.resolve()) :], found))
        raise give_up(f"goes round in a circle: {circle}")
    under = _read_tree(found, problems, chain)
    under.value.pop("name", None)  # a derived recipe is another recipe: its runs have their own folder
    return merged(under, tree)


@attrs.frozen
class Draft:
    """A recipe as written, before it is checked."""

    path: Path
    tree: Node
    """Content of the file, merged over its ``base``."""
    changes: Node
    """Changes on the command line."""
    problems: tuple[Problem, ...]
    """Mistakes of syntax."""
    source: str

    @classmethod
    def read(cls, path_or_name: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe by path or packaged name, with ``overrides`` such as ``flow.use=planar``.

        Raises :class:`RecipeError` if a file is not YAML or cannot be found.
        """
        path = find_recipe(path_or_name)
        reader = Reader()
        tree = _read_tree(path, reader.problems)
        changes = read_overrides(overrides, reader.problems)
        for key in changes.value.keys() & {"base", "vast"}:
            reader.note(changes.value.pop(key), (key,), "is stated in files only")
        changed = f"\nwith {' '.join(overrides)}" if overrides else ""
        return cls(path, tree, changes, tuple(reader.problems), f"From {shown(path)}{changed}")

    def check(self, registry: Registry, parts: Sequence[Part] | None = None) -> tuple[Recipe | None, list[Problem]]:
        """The recipe, or None, and the problems found."""
        reader = Reader()
        reader.problems += self.problems
        tree = merged(self.tree, self.changes)
        if parts is not None:
            always = (section.name for section in registry.sections if section.always)
            kept = ("vast", "name", "seed", "fps", *parts, *always)
            tree = attrs.evolve(tree, value={key: node for key, node in tree.value.items() if key in kept})
        sections = _Sections(registry, reader, runs=parts is None)
        reader.use = sections.use
        values = sections.read(tree, _folder_name(self.path))
        return (None if reader.problems else Recipe(**values, source=self.source)), reader.problems

    def error(self, problems: Sequence[Problem]) -> RecipeError:
        """All of ``problems`` in one error."""
        return recipe_error(shown(self.path), problems)


def load_recipe(
    path_or_name: str | Path, registry: Registry, overrides: Sequence[str] = (), *, parts: Sequence[Part] | None = None
) -> Recipe:
    """Read a recipe by path or packaged name, with ``overrides`` such as ``flow.use=planar``.

    With ``parts``, only the sections of these kinds are read: other parts, metrics and stages need not be installed.
    Raises :class:`RecipeError` with all mistakes at once, each at its file, line and column.
    """
    draft = Draft.read(path_or_name, overrides)
    recipe, problems = draft.check(registry, parts)
    if recipe is None:
        raise draft.error(problems)
    return recipe


def _folder_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-") or "recipe"


@attrs.frozen
class _Sections:
    """Reads the sections of a merged tree; mistakes are noted in the reader."""

    registry: Registry
    reader: Reader
    runs: bool = True
    """False where the stages do not matter, and need not be installed."""

    def read(self, tree: Node, name: str) -> dict[str, Any]:
        """The arguments of :class:`Recipe`, as far as they can be read."""
        sections: dict[str, Node] = {"name": Node(name, tree.mark), **tree.value}
        tree = attrs.evolve(tree, value=sections)
        if "vast" not in sections:
            self.reader.note(tree, (), f"missing key 'vast'; this vast reads recipes of version {VERSION}: vast: 1")
        known = [*RECIPE_KEYS, *dict.fromkeys(section.name for section in self.registry.sections)]
        own = {key: node for key, node in sections.items() if key in known}
        for key in sections.keys() - own.keys():
            self.reader.unknown_key(sections[key], (key,), known, why=self.registry.why_unknown("section", key))
        only = ("name", "seed", "fps")
        values = self.reader.fields(attrs.evolve(tree, value=own), Recipe, (), only=only, besides=known)
        for part in PARTS:
            if part in sections and not _is_absent(sections[part]):
                values[part] = self.use(part, sections[part], (part,))
        if "metrics" in sections and not _is_absent(sections["metrics"]):
            values["metrics"] = self._metrics(sections["metrics"])
        listed = "run" in sections and not _is_absent(sections["run"])
        run = [] if not self.runs else self._run(sections["run"]) if listed else self._default(tree)
        values["run"] = tuple(stage for stage, _ in run)
        values["stages"] = self._options(run, sections.get("stages", Node({}, tree.mark)))
        written = {name: node for name, node in sections.items() if name not in RECIPE_KEYS and not _is_absent(node)}
        given = {section.name: Node({}, tree.mark) for section in self.registry.sections if section.always} | written
        values["sections"] = {name: self._section(name, given[name]) for name in known if name in given}
        return values

    def _section(self, name: str, node: Node) -> Any:
        """A section that a plugin reads."""
        try:
            config = self.registry.section(name).config
        except ComponentError as error:
            return self.reader.note(node, (name,), str(error), at_key=True)
        return self.reader.instance(node, config, (name,))

    def _default(self, tree: Node) -> list[tuple[StageSpec, Node]]:
        """The stages of a recipe that lists none."""
        try:
            return [(stage, tree) for stage in self.registry.default_run]
        except ComponentError as error:
            self.reader.note(tree, ("run",), str(error))
            return []

    def _run(self, node: Node) -> list[tuple[StageSpec, Node]]:
        """The stages to run, each with its place."""
        if node.value is UNREADABLE:
            return []
        if not isinstance(node.value, list) or not node.value:
            self.reader.note(node, ("run",), "expected a list of stages; write [prepare, style]")
            return []
        found: list[tuple[StageSpec, Node]] = []
        for i, item in enumerate(node.value):
            path = ("run", str(i))
            name = self.reader.value(item, str, path)
            stage = INVALID if name is INVALID else self._stage(name, item, path)
            if stage in [earlier for earlier, _ in found]:
                self.reader.note(item, path, f"{name} is in the list twice")
            elif stage is not INVALID:
                found.append((stage, item))
        return found

    def _options(self, run: list[tuple[StageSpec, Node]], node: Node) -> dict[str, Any]:
        """The options of all stages that run or are set, by name."""
        if node.value is UNREADABLE:
            return {}
        if not isinstance(node.value, dict):
            self.reader.note(node, ("stages",), "expected a mapping; write {prepare: {held_out: 0.1}, ...}")
            return {}
        sections = {stage.name: (stage, Node({}, place.mark)) for stage, place in run}
        for name, section in node.value.items():
            stage = self._stage(name, section, ("stages", name), at_key=True)
            if stage is not INVALID:
                sections[name] = (stage, section)
        read = {
            name: self.reader.instance(section, stage.config, ("stages", name))
            for name, (stage, section) in sections.items()
        }
        return {name: options for name, options in read.items() if options is not INVALID}

    def _stage(self, name: str, node: Node, path: KeyPath, *, at_key: bool = False) -> Any:
        try:
            return self.registry.stage(name)
        except ComponentError as error:
            return self.reader.note(node, path, str(error), at_key=at_key)

    def _metrics(self, node: Node) -> tuple[Use, ...]:
        if node.value is UNREADABLE:
            return ()
        if not isinstance(node.value, list):
            self.reader.note(node, ("metrics",), "expected a list; write [{use: psnr}, ...]")
            return ()
        uses: list[Use] = []
        for i, item in enumerate(node.value):
            use = self.use("metric", item, ("metrics", str(i)))
            if use in uses:
                self.reader.note(item, ("metrics", str(i)), f"{use.name} is in the list twice")
            elif use is not INVALID:
                uses.append(use)
        return tuple(uses)

    def use(self, kind: Kind, node: Node, path: KeyPath) -> Any:
        """The component that a section names, with its options."""
        note = self.reader.note
        if node.value is UNREADABLE:
            return INVALID
        if not isinstance(node.value, dict):
            example = node.raw if node.raw in self.registry.names(kind) else "NAME"
            how = f"{'.'.join(path)}.use={example}" if node.mark.line < 0 else f"{{use: {example}}}"
            blank = ", or null to leave it out" if node.value is None else ""
            return note(node, path, f"expected a section that names a {kind}; write {how}{blank}")
        if "use" not in node.value:
            known = ", ".join(self.registry.names(kind)) or "none"
            return note(node, path, f"missing key 'use': which {kind}? (installed: {known})", at_key=True)
        name = self.reader.value(node.value["use"], str, (*path, "use"))
        if name is INVALID:
            return INVALID
        try:
            component = self.registry.get(kind, name)
        except ComponentError as error:
            return note(node.value["use"], (*path, "use"), str(error))
        config = self.reader.instance(node, component.config, path, besides=("use",))
        return INVALID if config is INVALID else Use(component=component, config=config, name=name)


def _is_absent(node: Node) -> bool:
    """Whether the value is ``null``; a section left blank counts as a mistake."""
    return node.value is None and node.raw != ""
