"""Declarations of plugins: components, stages and sections of a recipe, each with a name and options.

A declaration imports nothing; its target is imported when a recipe uses it. This module imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any, ClassVar, Literal, get_args

import attrs

from ..errors import ComponentError

Part = Literal["corpus", "face", "audio", "style", "flow", "decoder", "renderer"]

PARTS: tuple[Part, ...] = get_args(Part)
"""The kinds that a recipe names once; metrics are a list."""

Kind = Literal["corpus", "face", "audio", "style", "flow", "decoder", "renderer", "metric"]

KINDS: tuple[Kind, ...] = get_args(Kind)

RECIPE_KEYS: tuple[str, ...] = ("vast", "base", "name", "seed", "fps", *PARTS, "metrics", "run", "stages")
"""The top-level keys of a recipe that vast itself reads."""


def _check_kind(_: Component, __: attrs.Attribute[str], kind: object) -> None:
    if kind not in KINDS:
        raise ValueError(f"no kind of component is called {kind!r} (the kinds: {', '.join(KINDS)})")


def _check_name(declared: Declared, _: attrs.Attribute[str], name: object) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"a {declared.sort}'s name is lower-case letters, digits and underscores, not {name!r}")
    if isinstance(declared, SectionSpec) and name in RECIPE_KEYS:
        raise ValueError(f"declares {declared.title}, which vast itself reads")


def _check_target(component: Component, _: attrs.Attribute[str], target: object) -> None:
    if not isinstance(target, str) or not re.fullmatch(r"[\w.]+:\w+", target):
        raise ValueError(f"the target of {component.title} must be 'module:Class', not {target!r}")


def _check_place(stage: StageSpec, _: attrs.Attribute[str], target: object) -> None:
    if not isinstance(target, str) or not re.fullmatch(r"[\w.]+(:\w+)?", target):
        raise ValueError(f"the target of {stage.title} must be 'package.module' or 'module:object', not {target!r}")


def _check_needs(stage: StageSpec, _: attrs.Attribute[tuple[Part, ...]], needs: tuple[object, ...]) -> None:
    for kind in needs:
        if kind not in PARTS:
            raise ValueError(f"{stage.title} needs {kind!r}, which is no part of a recipe ({', '.join(PARTS)})")


def _as_needs(needs: object) -> object:
    if isinstance(needs, str) or not isinstance(needs, Iterable):
        raise TypeError(f"the needs of a stage are a list of kinds, not {needs!r}")
    return tuple(needs)


def _check_config(declared: Declared, _: attrs.Attribute[type], config: object) -> None:
    who = f"the config of {declared.title}"
    if not isinstance(config, type) or not attrs.has(config):
        raise TypeError(f"{who} must be an attrs class, decorated with @attrs.frozen(kw_only=True), not {config!r}")
    if not _is_frozen(config):
        raise TypeError(f"{who}, {config.__qualname__}, can be changed: decorate it with @attrs.frozen(kw_only=True)")
    try:
        fields = attrs.fields(attrs.resolve_types(config))
    except NameError as error:
        raise TypeError(f"{who}, {config.__qualname__}, has a type that is unknown at run time: {error}") from error
    if isinstance(declared, Component) and "use" in {field.alias for field in fields}:
        raise TypeError(f"{who}, {config.__qualname__}, has a field `use`, a word that recipes keep for the name")


def _is_frozen(cls: type) -> bool:
    try:
        setattr(object.__new__(cls), "probe", None)  # noqa: B010 - mypy knows no such attribute
    except AttributeError as error:  # FrozenError is one; a slotted class that is not frozen raises a plain one
        return isinstance(error, attrs.exceptions.FrozenError)
    return False


@attrs.frozen(kw_only=True)
class Declared:
    """Base class of all declarations."""

    sort: ClassVar[str]
    """One word for what is declared."""
    name: str = attrs.field(validator=_check_name)
    config: type = attrs.field(validator=_check_config)
    """Frozen attrs class; its fields are the options in a recipe."""
    summary: str
    """One line."""
    provider: str = ""
    """Name and version of the distribution; filled in at discovery."""

    @property
    def title(self) -> str:
        """What is declared and its name, for messages."""
        return f"{self.sort} {self.name!r}"

    @property
    def distribution(self) -> str:
        """Name of the distribution without its version."""
        return self.provider.partition(" ")[0]

    @property
    def _whose(self) -> str:
        return f"{self.title} of {self.provider or 'an unknown package'}"


@attrs.frozen(kw_only=True)
class Component(Declared):
    """A named, lazily imported implementation of one interface.

    Raises ValueError or TypeError if the declaration itself is wrong.
    """

    sort = "component"
    kind: Kind = attrs.field(validator=_check_kind)
    target: str = attrs.field(validator=_check_target)
    """``module:Class``, imported only at assembly."""
    reference: str = ""
    """The paper, if there is one."""
    weights_licence: str = ""
    """Licence of the weights or data that it brings or reads: an SPDX name, then more in brackets; empty if it has
    none."""

    @property
    def title(self) -> str:
        """Kind and name, for messages."""
        return f"{self.kind} {self.name!r}"

    def load(self) -> Any:
        """Import the implementation; raises :class:`ComponentError` if that fails."""
        return imported(self.target, self._whose)


@attrs.frozen(kw_only=True)
class StageSpec(Declared):
    """A named, lazily imported stage of a run; its options are under ``stages.<name>`` in a recipe.

    Raises ValueError or TypeError if the declaration itself is wrong.
    """

    sort = "stage"
    target: str = attrs.field(validator=_check_place)
    """``package.module`` or ``module:object``, imported only when it runs: a :class:`vast_core.stages.Stage`."""
    needs: tuple[Part, ...] = attrs.field(default=(), converter=_as_needs, validator=_check_needs)
    """Kinds of component that it needs."""

    @property
    def module(self) -> str:
        """The module of its code."""
        return self.target.partition(":")[0]

    def load(self) -> Any:
        """Import the module or object that runs it.

        Raises :class:`ComponentError` if it cannot be imported, or lacks ``inputs`` or ``run``.
        """
        stage = imported(self.target, self._whose)
        for name in ("inputs", "run"):
            if not callable(getattr(stage, name, None)):
                raise ComponentError(f"{self._whose}: {self.target} has no function {name}(context)")
        return stage


@attrs.frozen(kw_only=True)
class SectionSpec(Declared):
    """A section of a recipe that a plugin reads: the top-level key ``name``, given as ``recipe.sections[name]``.

    Raises ValueError or TypeError if the declaration itself is wrong.
    """

    sort = "section"
    always: bool = False
    """Whether every recipe has it, with its defaults where it is not written. Such a section stays with the avatar: it
    is packed, and an avatar that was made with it cannot be loaded without the plugin."""


def imported(target: str, what: str) -> Any:
    """The object of ``module:object``, or the module of ``module``.

    Raises :class:`ComponentError`, which says ``what`` it should be, if it cannot be imported.
    """
    module, _, attribute = target.partition(":")
    try:
        found = import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ImportError, AttributeError) as error:
        raise ComponentError(f"{what} cannot be imported from {target}: {type(error).__name__}: {error}") from error
