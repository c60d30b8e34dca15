"""The options of a config class for readers: type, default, range and docstring of each.

Used by ``vast plugins show`` and the JSON Schema of recipes. Ranges come from attrs' own validators. A rule that a
plugin writes itself (a function, ``__attrs_post_init__``) is only called by the recipe's reader.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

import attrs
from attrs import validators

from .reader import describe

COMPUTED: Any = object()
"""Marks a default that depends on other options."""

_COMPARISON = {"<": "exclusiveMaximum", "<=": "maximum", ">=": "minimum", ">": "exclusiveMinimum"}

# the classes of attrs' validators have no public names
_Number: Any = type(validators.ge(0))

_In: Any = type(validators.in_(()))

_And: Any = type(validators.and_())

_Optional: Any = type(validators.optional(validators.ge(0)))

_Pattern: Any = type(validators.matches_re(""))

_Longest: Any = type(validators.max_len(0))

_Shortest: Any = type(validators.min_len(0))

_InstanceOf: Any = type(validators.instance_of(int))


@attrs.frozen(kw_only=True)
class Option:
    """One field of a config."""

    name: str
    """Name in a recipe."""
    attribute: str
    """Name of the attribute of the config."""
    type: Any
    default: Any
    """``attrs.NOTHING`` if a recipe must state it; :data:`COMPUTED` if it depends on other options."""
    limits: Mapping[str, Any]
    """Limits set by its validators, in keywords of JSON Schema: ``minimum``, ``enum``, ``pattern``, ...; lengths of
    texts and lists are ``minLength`` and ``maxLength``."""
    checked: bool
    """Whether a validator checks it that ``limits`` does not describe."""
    doc: str
    """The docstring under the field."""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is attrs.NOTHING

    @property
    def range(self) -> str:
        """The limits in words; empty if there are none."""
        told = [key for key in self.limits if key != "enum" or get_origin(self.type) is not Literal]
        words = [_WORDS[key](self.limits[key]) for key in told]
        if self.checked:
            words.append("with further checks")
        return ", ".join(words)

    @property
    def kind(self) -> str:
        """The type in words."""
        return describe(self.type)


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "minimum": lambda bound: f">= {bound}",
    "exclusiveMinimum": lambda bound: f"> {bound}",
    "maximum": lambda bound: f"<= {bound}",
    "exclusiveMaximum": lambda bound: f"< {bound}",
    "minLength": lambda length: f"at least {length} long",
    "maxLength": lambda length: f"at most {length} long",
    "pattern": lambda pattern: "matches " + pattern.removeprefix("^(?:").removesuffix(")$"),
    "enum": lambda choices: "one of " + ", ".join(str(choice) for choice in choices if choice is not None),
}


def options(config: type) -> tuple[Option, ...]:
    """The options of a config class, in the order of its fields."""
    docs = field_docs(config)
    found = []
    for field in attrs.fields(attrs.resolve_types(config)):
        if field.init:
            limits: dict[str, Any] = {}
            told = _tell(field.validator, limits)
            found.append(
                Option(
                    name=field.alias,
                    attribute=field.name,
                    type=field.type,
                    default=_default(field),
                    limits=limits,
                    checked=not told,
                    doc=docs.get(field.name, ""),
                )
            )
    return tuple(found)


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return default
    try:
        return COMPUTED if default.takes_self else default.factory()
    except Exception:  # noqa: BLE001 - a plugin's factory may raise anything; `vast plugins doctor` reports it
        return COMPUTED


def _tell(validator: Any, limits: dict[str, Any]) -> bool:
    """Add a validator's limits to ``limits``; returns False if it cannot be described completely."""
    if validator is None or isinstance(validator, _InstanceOf):  # the reader has checked the type already
        return True
    if isinstance(validator, _And):
        told = [_tell(one, limits) for one in validator._validators]  # visits all of them
        return all(told)
    if isinstance(validator, _Optional):
        whole = _tell(validator.validator, limits)
        if "enum" in limits:
            limits["enum"] = [*limits["enum"], None]
        return whole
    if isinstance(validator, _Number) and validator.compare_op in _COMPARISON:
        limits[_COMPARISON[validator.compare_op]] = validator.bound
    elif isinstance(validator, _In) and _is_plain(validator.options):
        choices = validator.options
        limits["enum"] = sorted(choices, key=str) if isinstance(choices, frozenset) else list(choices)
    elif isinstance(validator, _Pattern) and validator.match_func.__name__ == "fullmatch":
        limits["pattern"] = f"^(?:{validator.pattern.pattern})$"
    elif isinstance(validator, _Longest):
        limits["maxLength"] = validator.max_length
    elif isinstance(validator, _Shortest):
        limits["minLength"] = validator.min_length
    else:
        return False
    return True


def _is_plain(choices: Any) -> bool:
    """Whether the choices can be written in a recipe; the choices of a text are its parts, which cannot be listed."""
    return not isinstance(choices, str) and all(isinstance(one, (str, int, float, type(None))) for one in choices)


def field_docs(config: type) -> dict[str, str]:
    """The docstring of each field of a class and of its base classes, read from the source.

    Empty if the source is not available.
    """
    docs: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not attrs.has(cls):
            continue
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        except (OSError, TypeError, SyntaxError, ValueError):  # created at run time, or shipped without source
            continue
        lines = body.body if isinstance(body, ast.ClassDef) else []
        for field, below in zip(lines, [*lines[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                docs.pop(field.target.id, None)  # a redefined field has its own docstring
                if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    docs[field.target.id] = _for_recipes(str(below.value.value))
    return docs


def _for_recipes(doc: str) -> str:
    """A docstring in one line, with the words of YAML."""
    return re.sub(r"\bNone\b", "null", " ".join(doc.replace("``", "`").split()))


def written(value: Any) -> str:
    """A default as a recipe would write it."""
    if value is COMPUTED:
        return "from the other options"
    if attrs.has(type(value)):
        return f"{{{', '.join(f'{f.alias}: {written(getattr(value, f.name))}' for f in attrs.fields(type(value)))}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {written(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if value == "":
        return "''"
    return str(value) if isinstance(value, (str, int, float, Path)) else repr(value)
