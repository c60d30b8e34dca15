"""A recipe's tree to attrs classes: every mistake is noted with its position, and nothing is coerced.

Supported types of options: bool, int, float, str, Path, None, Any, Literal, unions, list, tuple, Sequence, dict and
Mapping with text as key, attrs classes of these, and ``Annotated[Use, KIND]``, a component section. A relative path
becomes absolute: in a file it is relative to that file, on the command line to the working directory.
"""

from __future__ import annotations

import collections.abc
import difflib
import functools
import math
import operator
import re
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from ..errors import ComponentError, InputError
from ..places import located
from .document import UNREADABLE, Node, Problem
from .model import Use

INVALID: Any = object()
"""Marks a value that could not be read; the reason is among the problems."""

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}

_LISTS = (list, tuple, collections.abc.Sequence)

_MAPPINGS = (dict, collections.abc.Mapping)

KeyPath = tuple[str, ...]


class Reader:
    """Reads nodes into typed values and collects the problems."""

    def __init__(self, use: Callable[[Any, Node, KeyPath], Any] | None = None) -> None:
        """Start without problems; ``use`` reads the section of a component of a kind, where options name components."""
        self.problems: list[Problem] = []
        self.use = use

    def note(self, node: Node, path: KeyPath, message: str, *, at_key: bool = False) -> Any:
        """Add a problem; returns :data:`INVALID`."""
        self.problems.append(Problem(node.heading if at_key else node.mark, path, message))
        return INVALID

    def unknown_key(self, node: Node, path: KeyPath, known: Iterable[str], *, why: Iterable[str] = ()) -> None:
        """Note that nothing is called like the last part of ``path``, and ``why`` that may be."""
        known = list(known)
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        remarks = "; ".join([f"known: {', '.join(known) or 'none'}", *filter(None, why)])
        self.note(node, path, f"unknown key{hint} ({remarks})", at_key=True)

    # ------------------------------------------------------------------------------------------- values

    def value(self, node: Node, kind: Any, path: KeyPath) -> Any:
        """The value of ``node`` as a ``kind``, or :data:`INVALID`."""
        origin, arguments = get_origin(kind), get_args(kind)
        if node.value is UNREADABLE:
            return INVALID
        if kind is Any:
            return self._anything(node)
        if origin is Annotated and arguments[0] is Use and self.use is not None:
            return self.use(arguments[1], node, path)
        if attrs.has(kind):
            return self.instance(node, kind, path)
        if origin in (Union, types.UnionType):
            return self._union(node, arguments, path)
        if origin is Literal:
            return self._choice(node, arguments, path)
        if (origin or kind) in _LISTS:
            return self._sequence(node, origin or kind, arguments, path)
        if (origin or kind) in _MAPPINGS:
            return self._mapping(node, arguments, path)
        if kind is None or kind is type(None):
            return None if _is_null(node) else self._mismatch(node, kind, path)
        if kind in _WORDS:
            return self._scalar(node, kind, path)
        raise ComponentError(f"{'.'.join(path)}: its type {kind!r} cannot be written in a recipe")

    def _anything(self, node: Node) -> Any:
        """Plain data, as YAML reads it."""
        if isinstance(node.value, dict):
            found: Any = {key: self._anything(item) for key, item in node.value.items()}
        elif isinstance(node.value, list):
            found = [self._anything(item) for item in node.value]
        else:
            return INVALID if node.value is UNREADABLE else node.value
        parts = found.values() if isinstance(found, dict) else found
        return INVALID if any(part is INVALID for part in parts) else found

    def _mismatch(self, node: Node, kind: Any, path: KeyPath) -> Any:
        return self.note(node, path, f"expected {describe(kind)}, got {_given(node)}{_hint(node, kind)}")

    def _scalar(self, node: Node, kind: type, path: KeyPath) -> Any:
        value = node.value
        if kind is Path and type(value) is str and value:
            try:
                return located(value, node.mark.folder)
            except InputError as error:
                return self.note(node, path, str(error))
        if type(value) is int and kind in (int, float):
            if not re.fullmatch(r"[-+]?(0|[1-9][0-9_]*)", node.raw):
                return self.note(node, path, f"YAML reads {node.raw} as {value}; write it as a plain decimal number")
            if abs(value) >= 2**63:
                return self.note(node, path, f"{_given(node)} is too large")
            return kind(value)
        if type(value) is float and kind is float and not math.isnan(value) and ":" not in node.raw:
            return value
        if type(value) is kind and kind in (bool, str):
            return value
        return self._mismatch(node, kind, path)

    def _choice(self, node: Node, choices: Sequence[Any], path: KeyPath) -> Any:
        for choice in choices:
            if type(choice) is type(node.value) and choice == node.value:
                return choice
        close = difflib.get_close_matches(node.raw, [str(c) for c in choices], n=1)
        hint = f"; did you mean {close[0]!r}?" if close and isinstance(node.value, str) else ""
        return self.note(node, path, f"expected {describe(Literal[tuple(choices)])}, got {_given(node)}{hint}")

    def _union(self, node: Node, kinds: Sequence[Any], path: KeyPath) -> Any:
        exact = [kind for kind in kinds if kind is type(node.value)]
        attempts = []
        for kind in [*exact, *(k for k in kinds if k not in exact)]:
            attempt = Reader(self.use)
            value = attempt.value(node, kind, path)
            if value is not INVALID:
                return value
            attempts.append((kind, attempt.problems))
        nested = isinstance(node.value, (list, dict))
        meant = [problems for kind, problems in attempts if nested == _is_nested(kind) and not _is_none(kind)]
        if len(meant) == 1:  # only one of the types can have been meant: report its problems
            self.problems += meant[0]
            return INVALID
        return self._mismatch(node, functools.reduce(operator.or_, kinds), path)

    def _sequence(self, node: Node, container: Any, arguments: tuple[Any, ...], path: KeyPath) -> Any:
        if not isinstance(node.value, list):
            return self._mismatch(node, container[arguments] if arguments else container, path)
        items: list[Node] = node.value
        if container is tuple and arguments and arguments[-1] is not Ellipsis:
            kinds = list(arguments)
            if len(items) != len(kinds):
                return self.note(node, path, f"expected {len(kinds)} values, got {len(items)}")
        else:
            kinds = [arguments[0] if arguments else str] * len(items)
        values = [
            self.value(item, kind, (*path, str(i))) for i, (item, kind) in enumerate(zip(items, kinds, strict=True))
        ]
        if any(value is INVALID for value in values):
            return INVALID
        return values if container is list else tuple(values)

    def _mapping(self, node: Node, arguments: tuple[Any, ...], path: KeyPath) -> Any:
        if not isinstance(node.value, dict):
            return self._mismatch(node, dict, path)
        kind = arguments[1] if arguments else str
        values = {key: self.value(item, kind, (*path, key)) for key, item in node.value.items()}
        return INVALID if any(value is INVALID for value in values.values()) else values

    # ---------------------------------------------------------------------------------------- instances

    def instance(self, node: Node, cls: type, path: KeyPath, *, besides: Sequence[str] = ()) -> Any:
        """An attrs class from a mapping, or :data:`INVALID`; keys in ``besides`` are ignored."""
        if not isinstance(node.value, dict):
            return self._mismatch(node, dict, path)
        before = len(self.problems)
        values = self.fields(node, cls, path, besides=besides)
        if len(self.problems) > before:
            return INVALID
        try:
            return cls(**values)
        except Exception as error:  # noqa: BLE001 - a rule that spans several fields may raise anything; it is shown
            return self.note(node, path, _message(error), at_key=True)

    def fields(
        self, node: Node, cls: type, path: KeyPath, *, only: Sequence[str] | None = None, besides: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The readable fields of an attrs class that a mapping states; ``only`` restricts them."""
        fields = {field.alias: field for field in attrs.fields(attrs.resolve_types(cls)) if field.init}
        fields = {key: field for key, field in fields.items() if only is None or key in only}
        for key, child in node.value.items():
            if key not in fields and key not in besides:
                self.unknown_key(child, (*path, key), [*besides, *fields])
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key in node.value:
                values[key] = self.value(node.value[key], field.type, (*path, key))
            elif field.default is attrs.NOTHING:
                self.note(node, path, f"missing key {key!r} ({describe(field.type)})", at_key=True)
        values = {key: value for key, value in values.items() if value is not INVALID}
        self._validate(node, cls, fields, values, path)
        return values

    def _validate(
        self, node: Node, cls: type, fields: dict[str, attrs.Attribute[Any]], values: dict[str, Any], path: KeyPath
    ) -> None:
        """Run each field's own validator, so that all mistakes are shown together."""
        draft: Any = object.__new__(cls)  # validators get the instance; this one has the fields that could be read
        for key, field in fields.items():
            if key in values:
                object.__setattr__(draft, field.name, values[key])
            elif not isinstance(field.default, attrs.Factory) and field.default is not attrs.NOTHING:  # type: ignore[arg-type]
                object.__setattr__(draft, field.name, field.default)
        for key, field in fields.items():
            if key in values and field.validator is not None:
                try:
                    field.validator(draft, field, values[key])
                except AttributeError:
                    continue  # it uses a field that could not be read; cls() validates again later
                except Exception as error:  # noqa: BLE001 - a plugin's validator may raise anything; it is shown
                    message = _message(error).removeprefix(f"{field.name!r} ")
                    self.note(node.value[key], (*path, key), message)


def _is_none(kind: Any) -> bool:
    return kind is None or kind is type(None)


def _is_null(node: Node) -> bool:
    return node.value is None and node.raw != ""


def _is_nested(kind: Any) -> bool:
    return attrs.has(kind) or (get_origin(kind) or kind) in (*_LISTS, *_MAPPINGS)


def _message(error: Exception) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split())


def describe(kind: Any) -> str:
    """A type in words, for messages."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ("" if len(arguments) == 1 else "one of ") + ", ".join(repr(a) for a in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(a) for a in arguments)
    if origin is Annotated:
        return f"a section that names a {arguments[1]}"
    if (origin or kind) in _LISTS:
        return f"a list ({describe(arguments[0])} each)" if arguments else "a list"
    if (origin or kind) in _MAPPINGS or attrs.has(kind):
        return "a mapping of `key: value`"
    if _is_none(kind):
        return "null"
    if kind is Any:
        return "any value"
    return _WORDS.get(kind, str(kind))


def _given(node: Node) -> str:
    value = node.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    if value is None:
        return "null" if node.raw else "nothing"
    raw = node.raw if len(node.raw) <= 40 else node.raw[:39] + "…"
    return f"{raw}, a {'truth value' if isinstance(value, bool) else 'date'}" if not _is_number(value) else raw


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _hint(node: Node, kind: Any) -> str:
    """Hint at the probable intention, if YAML read the value differently."""
    value, raw = node.value, node.raw
    kinds = get_args(kind) or (kind,)
    if isinstance(value, str):
        if bool in kinds and raw.lower() in ("true", "false", "yes", "no", "on", "off"):
            return "; leave the quotes out"
        if exponent := re.fullmatch(r"([-+]?\d+)(?:\.(\d*))?[eE]([-+]?)(\d+)", raw):
            whole, fraction, sign, power = exponent.groups()
            if float in kinds and not node.quoted:
                return f" (YAML reads {raw} as text; write {whole}.{fraction or 0}e{sign or '+'}{power})"
            if int in kinds and not node.quoted and float(raw).is_integer():
                return f" (YAML reads {raw} as text; write {int(float(raw))})"
        if node.quoted and {int, float} & set(kinds) and re.fullmatch(r"[-+]?\d+(\.\d*)?", raw):
            return "; leave the quotes out"
    elif str in kinds and raw and not isinstance(value, (dict, list)):
        return f"; write it in quotes: '{raw}'"
    elif int in kinds and type(value) is float and value.is_integer():
        return f"; write {int(value)}"
    return ""
