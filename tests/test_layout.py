"""The rooms of the house: imports run downward only, first-party plugins use public names alone, files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = sorted(path for path in (ROOT / "plugins").glob("*/src/*") if (path / "__init__.py").is_file())
TREES = {"vast_core": ROOT / "vast_core", **{path.name: path for path in PLUGINS}}

ORDER = (
    "errors",
    "version",
    "places",
    "stopping",
    "console",
    "processes",
    "registry",
    "recipe",
    "phones",
    "interfaces",
    "files",
    "media",
    "mesh",
    "runs",
    "device",
    "pipeline",
    "checking",
    "training",
    "speak",
    "api",
    "report",
    "stages",
    "runner",
    "verifying",
    "testing",
    "cli",
    "__main__",
)
"""The packages and modules of the core; each may import those before it."""


def modules() -> dict[str, Path]:
    """Every module of the core and of the plugins, by its dotted name."""
    found = {}
    for package, folder in TREES.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(module: str, path: Path) -> Iterator[tuple[str, int]]:
    """The modules among ours that ``module`` imports anywhere in its file, functions and ``TYPE_CHECKING`` included."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                target = f"{base}.{name.name}" if f"{base}.{name.name}" in MODULES else base
                if target in MODULES:
                    yield target, node.lineno


GRAPH: Mapping[str, set[str]] = {
    module: {target for target, _ in imports(module, path)} - {module} for module, path in MODULES.items()
}


def test_the_graph_was_found() -> None:
    assert len(MODULES) > 250
    assert "vast_core.interfaces" in GRAPH["vast_core.pipeline"]
    assert "vast_core.interfaces.sizes" in GRAPH["vast_core.interfaces.flow"]


def test_no_module_imports_itself_in_a_circle() -> None:
    try:
        list(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail("imports in a circle: " + " -> ".join(error.args[1]))


def room(module: str) -> str:
    """The package or top-level module of the core that a module is in."""
    return module.split(".")[1] if "." in module else ""


def test_the_order_names_every_room_of_the_core() -> None:
    assert {room(module) for module in MODULES if module.startswith("vast_core.")} == set(ORDER)


def test_imports_in_the_core_run_downward() -> None:
    upward = [
        f"{module}:{line} imports {target}"
        for module, path in MODULES.items()
        if module.startswith("vast_core.")
        for target, line in imports(module, path)
        if target.startswith("vast_core.") and ORDER.index(room(target)) > ORDER.index(room(module))
    ]
    assert upward == []


def test_the_core_imports_no_plugin_and_plugins_never_each_other() -> None:
    strangers = [
        f"{module} imports {target}"
        for module, targets in GRAPH.items()
        for target in targets
        if target.split(".")[0] not in (module.split(".")[0], "vast_core")
    ]
    assert strangers == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_file_is_longer_than_400_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400
