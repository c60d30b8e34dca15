"""Changes one operator, comparison or constant at a time, and asks the tests of that module whether they notice.

    python tests/mutants.py --count 400 --seed 1 --log mutants.jsonl      # goes on where the log ends
    python tests/mutants.py --log mutants.jsonl --report                  # what survived, by file

Each mutant is tried in a copy of the tree, by the fast tests that name the changed module or what it defines. It is
killed if one fails, or if they take ten times as long as usual. Not run in CI: 400 mutants take hours.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = 4
"""Most test files that are run for a mutant."""
PATIENCE = 10.0
"""A mutant that takes this many times as long as the unchanged code hangs."""
SWAPS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def sources() -> list[Path]:
    """The modules of core and plugins; declarations, messages and pages of the command line are left out."""
    found = [*ROOT.glob("vast_core/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    quiet = {"plugin.py", "config.py", "declared.py", "__init__.py", "__main__.py", "version.py", "commands.py"}
    return sorted(path for path in found if path.name not in quiet and "cli" not in path.parts)


class Mutator(ast.NodeTransformer):
    """Counts the places that can change, and changes the one with number ``wanted``."""

    def __init__(self, wanted: int | None = None) -> None:
        self.wanted, self.count, self.what, self.line = wanted, 0, "", 0

    def _here(self, node: ast.AST, what: str) -> bool:
        chosen = self.count == self.wanted
        self.count += 1
        if chosen:
            self.what, self.line = what, getattr(node, "lineno", 0)
        return chosen

    def _swap(self, node: ast.AST, operator: ast.AST) -> ast.AST:
        other = SWAPS.get(type(operator))
        if other is None or not self._here(node, f"{type(operator).__name__} -> {other.__name__}"):
            return operator
        return other()

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """An operator."""
        self.generic_visit(node)
        node.op = self._swap(node, node.op)  # type: ignore[assignment]
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """And, or."""
        self.generic_visit(node)
        node.op = self._swap(node, node.op)  # type: ignore[assignment]
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """A comparison."""
        self.generic_visit(node)
        node.ops = [self._swap(node, own) for own in node.ops]  # type: ignore[misc]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A number or truth value; texts are left alone."""
        value = node.value
        if isinstance(value, bool):
            return ast.copy_location(ast.Constant(not value), node) if self._here(node, f"{value} -> not") else node
        if isinstance(value, int | float) and not isinstance(value, bool):
            new = 2 * value if value else value + 1
            return ast.copy_location(ast.Constant(new), node) if self._here(node, f"{value} -> {new}") else node
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Annotations are no code."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Defaults and bodies, without annotations."""
        node.args.defaults = [self.visit(own) for own in node.args.defaults]
        node.args.kw_defaults = [own if own is None else self.visit(own) for own in node.args.kw_defaults]
        node.body = [self.visit(own) for own in node.body]
        return node


def tests_of(path: Path, *, onward: bool) -> list[Path]:
    """The test files of its package that name the module, or what it defines, most often.

    If none does, those of the modules that import it.
    """
    relative = path.relative_to(ROOT)
    folder = (
        ROOT / "tests" if relative.parts[0] == "vast_core" else ROOT / relative.parts[0] / relative.parts[1] / "tests"
    )
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    public = "|".join(re.escape(name) for name in sorted(names) if not name.startswith("_")) or "(?!)"
    dotted = relative.with_suffix("").as_posix().partition("src/")[2] or relative.with_suffix("").as_posix()
    module = re.escape(dotted.replace("/", "."))
    ranked = []
    for file in sorted(folder.rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        score = 20 * len(re.findall(rf"\b{module}\b", text)) + len(re.findall(rf"\b({public})\b", text))
        score += 10 * (path.stem in file.stem)
        ranked.append((-score, file))
    found = [file for score, file in sorted(ranked)[:TESTS] if score < 0]
    if found or not onward:
        return found
    users = [own for own in path.parents[0].rglob("*.py") if own != path and imports(own, path.stem)]
    return sorted({file for own in users for file in tests_of(own, onward=False)})[:TESTS]


def imports(path: Path, module: str) -> bool:
    """Whether a module imports another one of its package."""
    text = path.read_text(encoding="utf-8")
    return re.search(rf"from \.+(\w+\.)*{module} import|from \.+ import .*\b{module}\b", text) is not None


def mutants(count: int, seed: int) -> Iterator[tuple[Path, int]]:
    """Places drawn without replacement, every place of the code being equally likely."""
    places: list[tuple[Path, int]] = []
    for path in sources():
        counter = Mutator()
        counter.visit(ast.parse(path.read_text(encoding="utf-8")))
        places += [(path, number) for number in range(counter.count)]
    yield from random.Random(seed).sample(places, min(count, len(places)))


def run(tree: Path, tests: list[Path], seconds: float | None) -> tuple[bool, float]:
    """Whether the tests pass in a copy of the tree, and how long they took."""
    names = [str(file.relative_to(ROOT)) for file in tests]
    paths = [str(tree), *sorted(str(own) for own in tree.glob("plugins/*/src"))]
    begun = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *names]
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, time.perf_counter() - begun
    return done.returncode == 0, time.perf_counter() - begun


def main() -> None:
    """Try the mutants that the log does not have, or report what it has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    known = [json.loads(line) for line in given.log.read_text().splitlines()] if given.log.is_file() else []
    if given.report:
        report(known)
        return
    done = {(row["file"], row["place"]) for row in known}
    usual: dict[tuple[Path, ...], tuple[bool, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        skipped = shutil.ignore_patterns(".git", "runs", "__pycache__", ".venv", "*.egg-info")
        shutil.copytree(ROOT, tree, ignore=skipped)
        for path, number in mutants(given.count, given.seed):
            name = path.relative_to(ROOT).as_posix()
            if (name, number) in done:
                continue
            text, mutator = path.read_text(encoding="utf-8"), Mutator(number)
            changed = ast.unparse(ast.fix_missing_locations(mutator.visit(ast.parse(text))))
            row = {"file": name, "place": number, "line": mutator.line, "what": mutator.what}
            tests = tests_of(path, onward=True)
            if tests and tuple(tests) not in usual:
                usual[tuple(tests)] = run(tree, tests, None)
            if not tests or not usual[tuple(tests)][0]:
                row["result"] = "no tests" if not tests else "tests fail without a change"
            else:
                (tree / name).write_text(changed, encoding="utf-8")
                passed, _ = run(tree, tests, PATIENCE * usual[tuple(tests)][1] + 10)
                (tree / name).write_text(text, encoding="utf-8")
                row["result"] = "survived" if passed else "killed"
            with given.log.open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(f"{row['result']:>9}  {name}:{row['line']}  {row['what']}", flush=True)


def report(rows: list[dict[str, object]]) -> None:
    """Print the share that was killed, and the others."""
    killed = sum(row["result"] == "killed" for row in rows)
    for row in sorted(rows, key=lambda own: (str(own["file"]), str(own["line"]))):
        if row["result"] != "killed":
            print(f"{row['result']:>9}  {row['file']}:{row['line']}  {row['what']}")
    print(f"{killed} of {len(rows)} killed ({100 * killed / max(1, len(rows)):.0f} %)")


if __name__ == "__main__":
    main()
