"""A recipe: which component plays each part, which stages run in which order, and with what options.

The first lines of ``recipes/vast_default.yaml`` show the form. Names are registry names, never import paths.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import attrs
import yaml
from attrs.validators import ge, lt, matches_re

from .ablate_section import Ablate
from .declarations import PARTS, Component, Kind, Part, StageSpec
from .errors import ComponentError, RecipeError
from .recipe_document import UNREADABLE, Node, Problem, merged, read_document, read_overrides, recipe_error, shown
from .recipe_schema import INVALID, KeyPath, Reader
from .registry import Registry
from .stage_config import CORE_STAGES

VERSION = 1
"""The version of recipes that this vast reads, stated as ``vast: 1``."""

Options = TypeVar("Options")


@attrs.frozen(kw_only=True)
class Use:
    """A component and its options."""

    component: Component
    config: Any
    """An instance of ``component.config``."""
    name: str = attrs.field(default=attrs.Factory(lambda self: self.component.name, takes_self=True))
    """The name as the recipe writes it, perhaps ``distribution/name``."""


@attrs.frozen(kw_only=True)
class Recipe:
    """A whole recipe, checked, with every default filled in."""

    vast: int = VERSION
    name: str = attrs.field(validator=matches_re(r"[A-Za-z0-9][A-Za-z0-9._-]*"))
    """Of the run's folder; the file's own name unless it says otherwise."""
    seed: int = attrs.field(default=1, validator=[ge(0), lt(2**31)])
    fps: float = attrs.field(default=25.0, validator=[ge(1), lt(1000)])
    """Video frames a second, everywhere past the audio features."""
    corpus: Use | None = None
    face: Use | None = None
    audio: Use | None = None
    style: Use | None = None
    flow: Use | None = None
    decoder: Use | None = None
    renderer: Use | None = None
    metrics: tuple[Use, ...] = ()
    run: tuple[StageSpec, ...] = CORE_STAGES
    """The stages, in the order in which they run."""
    stages: Mapping[str, Any] = attrs.field(factory=dict)
    """Instances of the stages' configs, by the stage's name: of all that run, and of others that the recipe sets."""
    ablate: Ablate | None = None
    """What ``vast ablate`` varies, where the recipe says so."""
    source: str = attrs.field(default="", eq=False)
    """Where it was read, and what the command line changed."""

    def use(self, kind: Kind) -> Use | None:
        """The component of a kind other than metric; None where the recipe has none."""
        found: Use | None = getattr(self, kind)
        return found

    def part(self, kind: Kind) -> Use:
        """The component of a kind; raises :class:`RecipeError` where the recipe has none."""
        found = self.use(kind)
        if found is None:
            raise RecipeError(
                f"recipe {self.name} lacks the section `{kind}`; see `vast plugins` for what is installed"
            )
        return found

    def section(self, kind: str) -> dict[str, Any]:
        """The plain data of one section, defaults included, for digests; empty where the recipe has none.

        ``kind`` is a kind of component; ``metric`` gives all metrics, by name.
        """
        if kind == "metric":
            return {"metrics": [_plain_use(use, use.component.name) for use in self.metrics]}
        if kind not in PARTS:
            raise ValueError(f"no section is called {kind!r}")
        used = self.use(cast(Kind, kind))
        return {} if used is None else _plain_use(used, used.component.name)

    def options(self, config: type[Options]) -> Options:
        """The options of the stage whose config this class is; defaults where the recipe does not run it.

        Raises :class:`RecipeError` where an option without default is not set.
        """
        for options in self.stages.values():
            if type(options) is config:
                return options
        try:
            return config()
        except TypeError as error:
            raise RecipeError(f"recipe {self.name} does not set the options {config.__name__}: {error}") from error

    def runs(self, stage: str) -> bool:
        """Whether a stage of this name is among those that run."""
        return stage in {own.name for own in self.run}

    def chosen(self, names: Iterable[str] | None) -> tuple[StageSpec, ...]:
        """Those of the recipe's stages that are named, in the recipe's order; all where ``names`` is None.

        Raises :class:`RecipeError` where the recipe does not run one of them.
        """
        if names is None:
            return self.run
        asked, known = list(names), [stage.name for stage in self.run]
        for name in asked:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise RecipeError(f"recipe {self.name} runs no stage {name!r}{hint} (its stages: {', '.join(known)})")
        if not asked:
            raise RecipeError(f"no stage was chosen; name one at least of {', '.join(known)}")
        return tuple(stage for stage in self.run if stage.name in asked)

    def missing(self, stages: Iterable[StageSpec] | None = None) -> dict[str, tuple[Part, ...]]:
        """The kinds that each stage, of ``stages`` or of all that run, needs and the recipe lacks; others left out."""
        chosen = self.run if stages is None else stages
        lacking = {stage.name: tuple(kind for kind in stage.needs if self.use(kind) is None) for stage in chosen}
        return {stage: kinds for stage, kinds in lacking.items() if kinds}

    def require(self, stages: Iterable[StageSpec] | None = None) -> None:
        """Raise :class:`RecipeError` where a section is missing that one of ``stages``, or of all, needs."""
        if lacking := self.missing(stages):
            needs = "; ".join(f"{stage} needs {', '.join(kinds)}" for stage, kinds in lacking.items())
            raise RecipeError(f"recipe {self.name} lacks sections: {needs}")

    def to_yaml(self) -> str:
        """The resolved recipe, which reads back equal to this one."""
        document: dict[str, Any] = {"vast": self.vast, "name": self.name, "seed": self.seed, "fps": self.fps}
        for kind in PARTS:
            if (used := self.use(kind)) is not None:
                document[kind] = _plain_use(used, used.name)
        document["metrics"] = [_plain_use(use, use.name) for use in self.metrics]
        document["run"] = [stage.name for stage in self.run]
        document["stages"] = {name: _plain_config(options) for name, options in self.stages.items()}
        if self.ablate is not None:
            document["ablate"] = {key: value for key, value in _plain_config(self.ablate).items() if value is not None}
        comment = ["Resolved recipe, all defaults filled in.", *self.source.splitlines()]
        printable = ("".join(c if c.isprintable() else "?" for c in line) for line in comment)
        header = "".join(f"# {line}\n" for line in printable)
        return header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def plain(value: Any) -> Any:
    """An option's value in the types of YAML and JSON, as far as it has any."""
    if attrs.has(type(value)):
        return _plain_config(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _plain_config(config: Any) -> dict[str, Any]:
    return {field.alias: plain(getattr(config, field.name)) for field in attrs.fields(type(config)) if field.init}


def _plain_use(use: Use, name: str) -> dict[str, Any]:
    return {"use": name, **_plain_config(use.config)}


# ------------------------------------------------------------------------------------------------- finding


def recipes_folder() -> Path:
    """Where the packaged recipes are: ``recipes/`` of a checkout, else ``vast_recipes`` beside this package."""
    root = Path(__file__).resolve().parents[1]
    return root / "recipes" if (root / "pyproject.toml").is_file() else root / "vast_recipes"


def packaged_recipes() -> tuple[str, ...]:
    """Names of the packaged recipes, such as ``vast_default`` and ``ablations/flow_none``."""
    folder = recipes_folder()
    return tuple(sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")))


def find_recipe(path_or_name: str | Path, beside: Path | None = None) -> Path:
    """The file of a path (relative to ``beside``, else the working directory) or of a packaged recipe's name.

    Raises :class:`RecipeError` where there is neither.
    """
    given = Path(path_or_name).expanduser()
    path = (beside or Path()) / given
    if path.is_file():
        return path
    known = packaged_recipes()
    if str(path_or_name) in known:
        return recipes_folder() / f"{path_or_name}.yaml"
    if path.is_dir():
        raise RecipeError(f"{path_or_name} is a folder; name the recipe's file")
    close = difflib.get_close_matches(given.with_suffix("").as_posix().removeprefix("recipes/"), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise RecipeError(
        f"no recipe {path_or_name}: no such file{f' in {shown(beside)}' if beside else ''}, "
        f"and no packaged recipe of that name{hint} (packaged: {', '.join(known) or 'none'})"
    )


def _read_tree(path: Path, problems: list[Problem], inside: tuple[Path, ...] = ()) -> Node:
    """The tree of a file over that of its ``base``; mistakes go to ``problems``.

    Raises :class:`RecipeError` where a file is no YAML or its base cannot be found, for then no more can be said.
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


# ------------------------------------------------------------------------------------------------- reading


@attrs.frozen
class Draft:
    """A recipe as it is written, and nothing checked yet."""

    path: Path
    tree: Node
    """What the file says, its ``base`` below."""
    changes: Node
    """What the command line lays over it."""
    problems: tuple[Problem, ...]
    """Mistakes of writing alone."""
    source: str

    @classmethod
    def read(cls, path_or_name: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe by path or packaged name, with ``overrides`` such as ``flow.use=planar``.

        Raises :class:`RecipeError` where a file is no YAML, or cannot be found.
        """
        path = find_recipe(path_or_name)
        reader = Reader()
        tree = _read_tree(path, reader.problems)
        changes = read_overrides(overrides, reader.problems)
        for key in changes.value.keys() & {"base", "vast"}:
            reader.note(changes.value.pop(key), (key,), "is stated in files only")
        changed = f"\nwith {' '.join(overrides)}" if overrides else ""
        return cls(path, tree, changes, tuple(reader.problems), f"From {shown(path)}{changed}")

    def check(self, registry: Registry) -> tuple[Recipe | None, list[Problem]]:
        """The recipe, or None and what is wrong with it."""
        reader = Reader()
        reader.problems += self.problems
        values = _Sections(registry, reader).read(merged(self.tree, self.changes), _folder_name(self.path))
        return (None if reader.problems else Recipe(**values, source=self.source)), reader.problems

    def error(self, problems: Sequence[Problem]) -> RecipeError:
        """All of ``problems`` in one error."""
        return recipe_error(shown(self.path), problems)


def load_recipe(path_or_name: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by path or packaged name, with ``overrides`` such as ``flow.use=planar`` laid over it.

    Raises :class:`RecipeError` with all mistakes at once, each at its file, line and column.
    """
    draft = Draft.read(path_or_name, overrides)
    recipe, problems = draft.check(registry)
    if recipe is None:
        raise draft.error(problems)
    return recipe


def _folder_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-") or "recipe"


@attrs.frozen
class _Sections:
    """Reads the sections of a merged tree; mistakes go to the reader."""

    registry: Registry
    reader: Reader

    def read(self, tree: Node, name: str) -> dict[str, Any]:
        """The arguments of :class:`Recipe`, as far as they can be read."""
        sections: dict[str, Node] = {"name": Node(name, tree.mark), **tree.value}
        tree = attrs.evolve(tree, value=sections)
        if "vast" not in sections:
            self.reader.note(tree, (), f"missing key 'vast'; this vast reads recipes of version {VERSION}: vast: 1")
        besides = ("vast", "base", *PARTS, "metrics", "run", "stages", "ablate")
        values = self.reader.fields(tree, Recipe, (), only=("name", "seed", "fps"), besides=besides)
        for part in PARTS:
            if part in sections and not _is_absent(sections[part]):
                values[part] = self._use(part, sections[part], (part,))
        if "metrics" in sections and not _is_absent(sections["metrics"]):
            values["metrics"] = self._metrics(sections["metrics"])
        default = [(stage, tree) for stage in CORE_STAGES]
        run = self._run(sections["run"]) if "run" in sections and not _is_absent(sections["run"]) else default
        values["run"] = tuple(stage for stage, _ in run)
        values["stages"] = self._options(run, sections.get("stages", Node({}, tree.mark)))
        if "ablate" in sections and not _is_absent(sections["ablate"]):
            values["ablate"] = self.reader.instance(sections["ablate"], Ablate, ("ablate",))
        return values

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
            use = self._use("metric", item, ("metrics", str(i)))
            if use in uses:
                self.reader.note(item, ("metrics", str(i)), f"{use.name} is in the list twice")
            elif use is not INVALID:
                uses.append(use)
        return tuple(uses)

    def _use(self, kind: Kind, node: Node, path: KeyPath) -> Any:
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
    """Whether it says ``null``; a section left blank is taken for an oversight."""
    return node.value is None and node.raw != ""
