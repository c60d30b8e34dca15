"""A recipe: which component plays each part, which stages run in which order, and with what options.

The first lines of ``recipes/vast_default.yaml`` show the form. Names are registry names, never import paths.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import attrs
import yaml
from attrs.validators import ge, lt, matches_re

from ..errors import ComponentError, RecipeError
from ..places import url_of
from ..registry.core_stages import CORE_STAGES
from ..registry.declarations import PARTS, Component, Kind, Part, StageSpec

VERSION = 1
"""Version of the recipe format that this vast reads, stated as ``vast: 1``."""

Options = TypeVar("Options")


@attrs.frozen(kw_only=True)
class Use:
    """A component and its options."""

    component: Component
    config: Any
    """An instance of ``component.config``."""
    name: str = attrs.field(default=attrs.Factory(lambda self: self.component.name, takes_self=True))
    """The name as written in the recipe, possibly ``distribution/name``."""


UseOfCorpus = Annotated[Use, "corpus"]
"""Type of an option that is itself a corpus section. ``Annotated[Use, KIND]`` is such a type for any kind."""


@attrs.frozen(kw_only=True)
class Recipe:
    """A complete, checked recipe with all defaults filled in."""

    vast: int = VERSION
    """Version of the recipe format."""
    name: str = attrs.field(validator=matches_re(r"[A-Za-z0-9][A-Za-z0-9._-]*"))
    """Name of the run's folder; by default the recipe file's own name."""
    seed: int = attrs.field(default=1, validator=[ge(0), lt(2**31)])
    """Seed of the run's random numbers: initial weights, batches, samples."""
    fps: float = attrs.field(default=25.0, validator=[ge(1), lt(1000)])
    """Frame rate to which footage and audio features are brought, in frames a second."""
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
    """Options of the stages by name: of all stages that run, and of others that the recipe sets."""
    sections: Mapping[str, Any] = attrs.field(factory=dict)
    """Options of the sections that plugins read, by name: of those that the recipe has, and of those that all have."""
    source: str = attrs.field(default="", eq=False)
    """The file it was read from, and the changes on the command line."""

    def use(self, kind: Kind) -> Use | None:
        """The component of a kind other than metric; None if the recipe has none."""
        found: Use | None = getattr(self, kind)
        return found

    def part(self, kind: Kind) -> Use:
        """The component of a kind; raises :class:`RecipeError` if the recipe has none."""
        found = self.use(kind)
        if found is None:
            raise RecipeError(
                f"recipe {self.name} lacks the section `{kind}`; see `vast plugins` for what is installed"
            )
        return found

    def components(self) -> dict[str, str]:
        """``name (distribution version)`` of each kind of component that the recipe has, metrics left out."""
        used = {kind: self.use(kind) for kind in PARTS}
        return {
            kind: f"{use.component.name} ({use.component.provider})" for kind, use in used.items() if use is not None
        }

    def component_data(self, kind: str) -> dict[str, Any]:
        """The plain data of a kind of component, including defaults, for digests; empty if the recipe has none.

        ``kind`` is a kind of component; ``metric`` gives all metrics, by name.
        """
        if kind == "metric":
            return {"metrics": [_plain_use(use, use.component.name) for use in self.metrics]}
        if kind not in PARTS:
            raise ValueError(f"no section is called {kind!r}")
        used = self.use(cast(Kind, kind))
        return {} if used is None else _plain_use(used, used.component.name)

    def options(self, stage: str, config: type[Options]) -> Options:
        """The options of a stage as an instance of ``config``; defaults if the recipe does not mention the stage.

        Raises :class:`RecipeError` if an option without default is not set, and :class:`ComponentError` if the options
        are of another class, because a stage of that name from another package runs.
        """
        if (options := self.stages.get(stage)) is not None:
            if not isinstance(options, config):
                raise ComponentError(
                    f"recipe {self.name}: the options of stage {stage!r} are {type(options).__name__}, "
                    f"not {config.__name__}; another package provides that stage"
                )
            return options
        try:
            return config()
        except TypeError as error:
            raise RecipeError(f"recipe {self.name} does not set the options of stage {stage!r}: {error}") from error

    def runs(self, stage: str) -> bool:
        """Whether a stage of this name is among those that run."""
        return stage in {own.name for own in self.run}

    def chosen(self, names: Iterable[str] | None) -> tuple[StageSpec, ...]:
        """The stages named in ``names``, in the recipe's order; all stages if ``names`` is None.

        Raises :class:`RecipeError` if the recipe does not run one of them.
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
        """Kinds that the recipe lacks, for each of ``stages`` (default: all that run) that needs some."""
        chosen = self.run if stages is None else stages
        lacking = {stage.name: tuple(kind for kind in stage.needs if self.use(kind) is None) for stage in chosen}
        return {stage: kinds for stage, kinds in lacking.items() if kinds}

    def require(self, stages: Iterable[StageSpec] | None = None) -> None:
        """Raise :class:`RecipeError` if a section is missing that one of ``stages`` (default: all that run) needs."""
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
        document |= {name: _plain_config(section) for name, section in self.sections.items()}
        comment = ["Resolved recipe, all defaults filled in.", *self.source.splitlines()]
        printable = ("".join(c if c.isprintable() else "?" for c in line) for line in comment)
        header = "".join(f"# {line}\n" for line in printable)
        return header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def plain(value: Any) -> Any:
    """An option's value as plain YAML and JSON data, where such data exists."""
    if isinstance(value, Use):
        return _plain_use(value, value.name)
    if attrs.has(type(value)):
        return _plain_config(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return (url_of(value) or str(value)) if isinstance(value, Path) else value


def _plain_config(config: Any) -> dict[str, Any]:
    return {field.alias: plain(getattr(config, field.name)) for field in attrs.fields(type(config)) if field.init}


def _plain_use(use: Use, name: str) -> dict[str, Any]:
    return {"use": name, **_plain_config(use.config)}


def nested_uses(config: Any) -> Iterator[Use]:
    """The components that a config names in its options, such as the corpora of a union."""
    for field in attrs.fields(type(config)):
        value = getattr(config, field.name)
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, Use):
                yield item
