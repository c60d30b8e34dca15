"""YAML text to a tree in which every value has its file, line and column.

``base:`` and the command line are merged here, so that a mistake points to the file that contains it. YAML is only
composed into nodes: of its tags, only plain scalars are constructed, and none that runs code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import yaml

from ..errors import RecipeError

UNREADABLE: Any = object()
"""Value of a node that cannot be read. The reason is among the problems; no further problem is reported for it."""


@attrs.frozen
class Mark:
    """A position in a file, for messages."""

    source: str
    """A file as the user would type it, or ``command line``."""
    line: int
    """Line number from 0; -1 on the command line."""
    column: int
    """Column number from 0."""
    text: str
    """Text of that line."""
    folder: Path = attrs.field(factory=Path.cwd, eq=False)
    """What relative paths are relative to: the file's folder; on the command line, the working directory."""


@attrs.frozen(eq=False)
class Node:
    """A value of a recipe and its position."""

    value: Any
    """A scalar, a list of nodes, or a dict of nodes by key."""
    mark: Mark
    key_mark: Mark | None = None
    """Position of the key of this value."""
    raw: str = ""
    """A scalar as written in the file."""
    quoted: bool = False

    @property
    def heading(self) -> Mark:
        """Position for problems with the whole value: its key if there is one."""
        return self.key_mark or self.mark


@attrs.frozen
class Problem:
    """One mistake in a recipe."""

    mark: Mark
    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        path = ".".join(self.path)
        if self.mark.line < 0:
            given, _, _ = self.mark.text.partition("=")
            return f"{self.mark.source}: {self.mark.text}: " + (f"{path}: " * (path != given)) + self.message
        where = f"{self.mark.source}:{self.mark.line + 1}:{self.mark.column + 1}: "
        indent = re.sub(r"[^\t]", " ", self.mark.text[: self.mark.column])
        return f"{where}{path}{': ' * bool(path)}{self.message}\n    {self.mark.text}\n    {indent}^"


def recipe_error(source: str, problems: Sequence[Problem], what: str = "recipe") -> RecipeError:
    """All ``problems`` in one error: those in ``source`` first, by line, and those on the command line last.

    ``what`` names the kind of file in the message, for files other than recipes that are read in the same way.
    """
    sources = list(dict.fromkeys([source, *(p.mark.source for p in problems if p.mark.line >= 0)]))

    def place(problem: Problem) -> tuple[int, int, int]:
        mark = problem.mark
        return (sources.index(mark.source) if mark.line >= 0 else len(sources), mark.line, mark.column)

    unique = list(dict.fromkeys(sorted(problems, key=place)))
    count = "a mistake" if len(unique) == 1 else f"{len(unique)} mistakes"
    return RecipeError(f"{count} in {what} {source}\n\n" + "\n".join(map(str, unique)))


def shown(path: Path) -> str:
    """``path`` as the user would type it: relative if it lies below the working directory."""
    absolute = path.resolve()
    return os.path.relpath(absolute) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def read_document(path: Path, problems: list[Problem], what: str = "recipe") -> Node:
    """The tree of one file; its mistakes are added to ``problems``. ``what`` names the kind of file in messages.

    Raises :class:`RecipeError` if it cannot be read or is not YAML.
    """
    source = shown(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecipeError(f"{what} {source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{what} {source} is no UTF-8 text (byte {error.start}); is it a YAML file?") from error
    tree = _Composer(source, text.splitlines() or [""], problems, path.absolute().parent, what=what).compose(text)
    if not isinstance(tree.value, dict):
        begins = "; a recipe begins with `vast: 1`" if what == "recipe" else ""
        problem = Problem(tree.mark, (), f"expected `key: value` lines{begins}")
        raise recipe_error(source, [*problems, problem], what)
    return tree


def read_overrides(overrides: Sequence[str], problems: list[Problem]) -> Node:
    """The tree of ``flow.use=planar flow.steps=16``; mistakes are added to ``problems``."""
    root = Node({}, Mark("command line", -1, 0, ""))
    for override in overrides:
        mark = Mark("command line", -1, 0, override)
        key, equals, text = override.partition("=")
        path = tuple(key.split("."))
        if not equals or not all(path):
            problems.append(Problem(mark, path, "expected KEY=VALUE, such as flow.use=planar"))
            continue
        if not text:
            problems.append(Problem(mark, path, "no value; write null to leave something out"))
            continue
        value = read_value(text, path, mark, problems)
        try:
            if value is not None:
                _put(root, path, value, mark)
        except KeyError:
            problems.append(Problem(mark, path, "given twice, or beside a part of itself"))
    return root


def read_value(text: str, path: tuple[str, ...], mark: Mark, problems: list[Problem]) -> Node | None:
    """The tree of a command-line value at ``mark``; None, with a problem added, if it cannot be read."""
    try:
        value = _Composer(mark.source, [mark.text], problems, mark.folder, on_command_line=True).compose(text, path)
    except RecipeError:
        problems.append(Problem(mark, path, f"{text!r} is no YAML value; put text in quotes"))
        return None
    return attrs.evolve(value, key_mark=mark)


def _put(root: Node, path: tuple[str, ...], value: Node, mark: Mark) -> None:
    """Insert ``value`` into the tree; raises KeyError if the place is taken."""
    for part in path[:-1]:
        root = root.value.setdefault(part, Node({}, mark, key_mark=mark))
        if not isinstance(root.value, dict):
            raise KeyError(part)
    if path[-1] in root.value:
        raise KeyError(path[-1])
    root.value[path[-1]] = value


def merged(base: Node, top: Node) -> Node:
    """Merge ``top`` over ``base``: mappings key by key; all other values are replaced.

    A mapping whose ``use`` changes is replaced, too, so that no option of the old component survives.
    """
    if not isinstance(base.value, dict) or not isinstance(top.value, dict):
        return top
    if "use" in top.value and "use" in base.value and top.value["use"].value != base.value["use"].value:
        return top
    both = {key: merged(base.value[key], node) for key, node in top.value.items() if key in base.value}
    mark, key_mark = (top.mark, top.key_mark) if top.mark.line >= 0 else (base.mark, base.key_mark)
    return Node(base.value | top.value | both, mark, key_mark)


class _Composer:
    """Converts PyYAML's nodes to :class:`Node`."""

    def __init__(
        self,
        source: str,
        lines: list[str],
        problems: list[Problem],
        folder: Path,
        on_command_line: bool = False,
        what: str = "recipe",
    ) -> None:
        self.source = source
        self.what = what
        self.lines = lines
        self.problems = problems
        self.folder = folder
        self.on_command_line = on_command_line
        self.open: list[yaml.Node] = []
        self.made: dict[yaml.Node, Any] = {}
        """Values by node: an alias returns the same node, so that nested aliases cannot grow exponentially."""

    def mark(self, mark: yaml.Mark | None) -> Mark:
        if self.on_command_line:
            return Mark(self.source, -1, 0, self.lines[0], self.folder)
        if mark is None:
            return Mark(self.source, 0, 0, self.lines[0], self.folder)
        line = min(mark.line, len(self.lines) - 1)
        return Mark(self.source, line, min(mark.column, len(self.lines[line])), self.lines[line], self.folder)

    def compose(self, text: str, path: tuple[str, ...] = ()) -> Node:
        """The tree of ``text``; raises :class:`RecipeError` if it is not YAML."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            return Node(None, self.mark(None)) if root is None else self.node(root, path, None)
        except yaml.MarkedYAMLError as error:
            message = " ".join(filter(None, (error.context, error.problem)))
            problem = Problem(self.mark(error.problem_mark or error.context_mark), path, f"no valid YAML: {message}")
            raise recipe_error(self.source, [*self.problems, problem], self.what) from error
        except (yaml.YAMLError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
            problem = Problem(self.mark(None), path, f"no valid YAML: {reason}")
            raise recipe_error(self.source, [problem], self.what) from error

    def node(self, node: yaml.Node, path: tuple[str, ...], key_mark: Mark | None) -> Node:
        mark = self.mark(node.start_mark)
        if node in self.open:
            self.problems.append(Problem(mark, path, "an alias to something that holds it"))
            return Node(UNREADABLE, mark, key_mark)
        if node not in self.made:
            self.open.append(node)
            self.made[node] = self.content(node, path, mark)
            self.open.pop()
        if isinstance(node, yaml.ScalarNode):
            return Node(self.made[node], mark, key_mark, raw=node.value, quoted=node.style in ("'", '"'))
        return Node(self.made[node], mark, key_mark)

    def content(self, node: yaml.Node, path: tuple[str, ...], mark: Mark) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.node(item, (*path, str(i)), None) for i, item in enumerate(node.value)]
        reason = f"the tag {node.tag} is not allowed in a recipe"
        if isinstance(node, yaml.ScalarNode):
            try:
                return yaml.SafeLoader("").construct_object(node, deep=True)
            except yaml.constructor.ConstructorError:
                pass  # a tag that only unsafe loaders construct
            except ValueError as error:  # a date such as 2024-13-01
                reason = f"{node.value} cannot be read ({error}); put text in quotes"
        self.problems.append(Problem(mark, path, reason))
        return UNREADABLE

    def mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key, value in node.value:
            mark = self.mark(key.start_mark)
            if key.tag == "tag:yaml.org,2002:merge":
                self.problems.append(Problem(mark, path, "`<<` is not read in recipes; use `base:`"))
            elif not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                self.problems.append(Problem(mark, path, "a key must be text; put it in quotes"))
            elif key.value in found:
                first = found[key.value].heading.line + 1
                self.problems.append(Problem(mark, (*path, key.value), f"given twice, first in line {first}"))
            else:
                found[key.value] = self.node(value, (*path, key.value), mark)
        return found
