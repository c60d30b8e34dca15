"""Keys of results: digests of code, options, files and clips.

A stage's key covers everything that can change its result; see "What makes a result out of date" in CONTRIBUTING.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from ..errors import InputError
from ..files.remote import fetched
from ..interfaces import Clip
from ..media.opening import file_digest
from ..recipe.model import Use, nested_uses, plain
from ..registry.declarations import Component, StageSpec

CORE = "vast_core"

WITHOUT_EFFECT = ("recipe", "registry", "report", "version")
"""Parts of the core that stages import but that do not change results.

Options and components, which ``recipe`` and ``registry`` find, are in the key themselves; ``report`` shows results,
``version`` labels them. The command line, the kit and the checks are not listed: code that computes results does not
import them.
"""


def digest(value: Any) -> str:
    """The first 20 hex digits of the SHA-256 of plain data: JSON's types, paths, attrs instances.

    Raises TypeError if the value has any other type, because its text need not represent its content.
    """
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()[:20]


# ------------------------------------------------------------------------------------------------ code


def source_digest(module: str) -> str:
    """Digest of a module or of all files of a package: of the syntax tree of Python files, the content of others.

    Comments, docstrings and layout do not count. Raises :class:`InputError` if the module is not installed.
    """
    origin = locate(module)
    if origin is None:
        raise InputError(f"module {module!r} is not installed")
    if origin.name != "__init__.py":
        return _file_meaning(origin)
    return digest({file.relative_to(origin.parent).as_posix(): _file_meaning(file) for file in _files(origin.parent)})


def code_digest(module: str) -> str:
    """Digest of all code that ``module`` may run: its whole package, and the modules of the core that it imports.

    Core modules count if they are imported directly or indirectly, with the other files of their folders.
    """
    package = module.partition(".")[0]
    reached = _reached(module)
    core = {name: path for name, path in reached.items() if name.partition(".")[0] == CORE}
    data = {file for path in core.values() for file in path.parent.iterdir() if file.is_file() and file.suffix != ".py"}
    return digest(
        {
            "package": None if package == CORE else source_digest(package),
            "core": {name: _file_meaning(path) for name, path in core.items()},
            "data": {file.name: _file_meaning(file) for file in sorted(data)},
        }
    )


def locate(module: str) -> Path | None:
    """The file of a module, or ``__init__.py`` of a package; None if there is none. Runs no code of the module."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    if not spec.submodule_search_locations:
        return None
    place = os.path.join(os.path.dirname(spec.origin), *rest)
    return next((Path(file) for file in (f"{place}.py", f"{place}/__init__.py") if os.path.isfile(file)), None)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)


def _reached(start: str) -> dict[str, Path]:
    """The modules of ``start``'s package and of the core that it imports, directly or indirectly, by name."""
    trees = {start.partition(".")[0], CORE}
    found: dict[str, Path] = {}
    waiting = [start]
    seen = {CORE}  # the core's root exports names of its modules; following it would reach every module
    while waiting:
        module = waiting.pop()
        top, _, rest = module.partition(".")
        if module in seen or top not in trees or (top == CORE and rest.partition(".")[0] in WITHOUT_EFFECT):
            continue
        seen.add(module)
        path = locate(module)
        if path is None:  # a name defined in a module
            continue
        found[module] = path
        waiting.append(module.rpartition(".")[0] or module)  # Python runs the packages around it first
        around = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        for base, level, names in _read(path).imports:
            parts = around[: len(around) - level + 1] if level else []
            target = ".".join([*parts, base] if base else parts)
            waiting += [target, *(f"{target}.{name}" for name in names)]
    return dict(sorted(found.items()))


@attrs.frozen
class _Source:
    """The parts of a Python file that count for digests."""

    meaning: str
    """Digest of the syntax tree without docstrings and positions."""
    imports: tuple[tuple[str, int, tuple[str, ...]], ...]
    """Module, level of relative import and names of each import, including those in functions."""


def _read(path: Path) -> _Source:
    status = path.stat()
    return _parsed(path, status.st_size, status.st_mtime_ns)


@cache
def _parsed(path: Path, size: int, modified: int) -> _Source:
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # not a module, for example a template
        return _Source(hashlib.sha256(content).hexdigest(), ())
    imports: list[tuple[str, int, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(name.name, 0, ()) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.module or "", node.level, tuple(name.name for name in node.names)))
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                setattr(node, block, [one for one in statements if not _is_text(one)])
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(imports))


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring or another string without effect."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _file_meaning(path: Path) -> str:
    return _read(path).meaning if path.suffix == ".py" else file_digest(path)


# ------------------------------------------------------------------------------- components, stages, clips


def component_key(component: Component) -> dict[str, str]:
    """Identity of an implementation: its name and its code."""
    return {"use": component.name, "source": code_digest(component.target.partition(":")[0])}


def use_key(use: Use) -> dict[str, Any]:
    """Identity of a component in a recipe: implementation, options, and the files that it reads.

    These files are those in its options and those that its class lists in ``files(config)``, if it has that method.
    """
    own = plain(use.config)
    code = {**component_key(use.component), "parts": [use_key(part) for part in nested_uses(use.config)]}
    if use.component.kind == "corpus":  # its clips have digests of what it reads
        return {**code, "options": own}
    finds = getattr(use.component.load(), "files", None)
    found = list(finds(use.config)) if finds is not None else []
    return {**code, "options": own, "files": file_digests([*paths_in(use.config), *found])}


def stage_key(stage: StageSpec, options: Any, inputs: Mapping[str, Any]) -> str:
    """The key of a stage: its code, its options, the files that the options name, and its inputs."""
    files = file_digests(paths_in(options))
    return digest({"source": code_digest(stage.module), "options": options, "files": files, "inputs": inputs})


def clip_key(clip: Clip) -> dict[str, Any]:
    """The facts of a clip that a stage may read; ``digest`` covers pictures, sound, phones and the true track."""
    facts = ("name", "speaker", "style", "split", "transcript", "digest")
    return {name: getattr(clip, name) for name in facts}


def file_digests(paths: Iterable[Path]) -> list[str]:
    """Digests of the files among ``paths``, which are fetched if they are URLs."""
    return [file_digest(path) for path in map(fetched, paths) if path.is_file()]


def paths_in(value: Any) -> Iterator[Path]:
    """The paths in a config."""
    if attrs.has(type(value)):
        value = [getattr(value, field.name) for field in attrs.fields(type(value))]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Path):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from paths_in(item)
