"""What is public is a list: first-party plugins use no other name of the core, as third parties should not."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
RECORDED = yaml.safe_load((ROOT / "tests" / "vast_v1.yaml").read_text(encoding="utf-8"))
PUBLIC: dict[str, list[str]] = RECORDED["public"]
SOURCES = sorted((ROOT / "plugins").glob("*/src/**/*.py"))


def imported(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, module and name of everything that a file imports from the core."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name, "") for name in node.names if name.name.split(".")[0] == "vast_core")
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "vast_core":
            yield from ((node.lineno, str(node.module), name.name) for name in node.names)


def test_every_plugin_was_read() -> None:
    assert len(SOURCES) > 150
    assert {path.relative_to(ROOT / "plugins").parts[0] for path in SOURCES} == {
        path.name for path in (ROOT / "plugins").iterdir() if path.is_dir()
    }


def test_first_party_plugins_import_public_names_alone() -> None:
    private = [
        f"{path.relative_to(ROOT)}:{line} imports {module}.{name}".rstrip(".")
        for path in SOURCES
        for line, module, name in imported(path)
        if name not in PUBLIC.get(module, []) and not (module == "vast_core" and not name)
    ]
    assert private == []


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there_and_documented(module: str) -> None:
    found = import_module(module)
    assert found.__doc__
    for name in PUBLIC[module]:
        value = getattr(found, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{module}.{name} has no docstring"


def test_contributing_names_the_public_modules() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    listed = text[text.index("Public are the names in") : text.index("First-party plugins import nothing else")]
    whole, _, within = listed.partition("the listed modules of")
    names = set(re.findall(r"`(\w+)`", whole)) - {"__all__", "public", "vast_core"}
    parts = [module.split(".")[1:] for module in PUBLIC]
    assert names == {own[0] for own in parts if len(own) == 1}
    assert set(re.findall(r"`(\w+)`", within)) == {own[0] for own in parts if len(own) == 2}
