"""The JSON Schema (2020-12) of recipes with all that is installed, so that an editor completes and checks them.

It is made from what the reader reads by: the same attrs classes, the same types. It refuses nothing that the reader
takes, but for a distribution's name in other letters. The reader refuses more: what a rule of a plugin's own forbids,
and what only the whole recipe shows, such as an option that neither the file nor its base nor the command line states.
``prefixItems`` aside, each keyword means the same in draft 7, which some editors read.
"""

from __future__ import annotations

import collections.abc
import json
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from ..registry.declarations import KINDS, PARTS, Component, SectionSpec, StageSpec
from ..registry.registry import Registry
from .finding import packaged_recipes
from .model import VERSION, Recipe, Use, plain
from .options import COMPUTED, Option, options

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: Mapping[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string", "minLength": 1},
    None: {"type": "null"},
    type(None): {"type": "null"},
}


def recipe_schema(registry: Registry) -> Schema:
    """The schema of a recipe's file."""
    sections = {part: {"$ref": f"#/$defs/{part}"} for part in PARTS}
    names = [stage.name for stage in registry.stages]
    summaries = [stage.summary for stage in registry.stages]
    own = {"vast", *sections, "metrics", "run", "stages", "sections", "source"}
    plain = {option.name: option for option in options(Recipe) if option.name not in own}
    plain["name"] = attrs.evolve(plain["name"], default=COMPUTED)
    return {
        "$schema": DIALECT,
        "title": "vast recipe",
        "type": "object",
        "properties": {
            "vast": {"const": VERSION, "description": "The version of recipes that this is written for."},
            "base": {
                "type": "string",
                "description": "Path or name of the recipe that this one changes.",
                "examples": list(packaged_recipes()),
            },
            **{name: _option(option) for name, option in plain.items()},
            **sections,
            "metrics": {
                "description": "What the stage evaluate measures.",
                "type": ["array", "null"],
                "items": {"$ref": "#/$defs/metric"},
                "uniqueItems": True,
            },
            "run": {
                "description": "The stages, in the order in which they run.",
                "type": ["array", "null"],
                "items": {"enum": names, "enumDescriptions": summaries},
                "minItems": 1,
                "uniqueItems": True,
            },
            "stages": {
                "description": "The options of each stage.",
                "type": "object",
                "properties": {stage.name: _stage(stage) for stage in registry.stages},
                "additionalProperties": False,
            },
            **{section.name: _of_plugin(section) for section in registry.sections},
        },
        "additionalProperties": False,
        "if": {"not": {"required": ["base"]}},
        "then": {"required": ["vast"], "properties": {part: {"required": ["use"]} for part in PARTS}},
        "$defs": {kind: _section(kind, registry) for kind in KINDS},
    }


def _stage(stage: StageSpec) -> Schema:
    return {"description": _sentence(stage.summary), **_mapping(stage.config)}


def _of_plugin(section: SectionSpec) -> Schema:
    return {"description": _sentence(section.summary), "anyOf": [_mapping(section.config), {"type": "null"}]}


def _section(kind: str, registry: Registry) -> Schema:
    """A component and its options; where a derived recipe leaves ``use`` to its base, those of any component."""
    components = registry.components(kind)
    names = registry.names(kind)
    told = {id(component): _properties(component.config) for component in components}
    everything = sorted({name for properties in told.values() for name in properties})
    listed = kind == "metric"
    return {
        "description": f"The {kind} and its options.",
        "type": "object" if listed else ["object", "null"],
        "required": ["use"] if listed else [],
        "properties": {
            "use": {
                "description": f"Which {kind}.",
                "type": "string",
                "anyOf": [
                    {"enum": list(names), "enumDescriptions": [_about(component) for component in components]},
                    {"pattern": "|".join(_qualified(component) for component in components) or "^$"},
                ],
            },
        },
        "propertyNames": {"enum": ["use", *everything]},
        "allOf": [
            {
                "if": {"required": ["use"], "properties": {"use": _called(component, names)}},
                "then": {"properties": {"use": True, **told[id(component)]}, "additionalProperties": False},
            }
            for component in components
        ]
        or [{}],
    }


def _called(component: Component, names: Iterable[str]) -> Schema:
    """Matches the names that the registry finds this component by."""
    bare = [{"const": component.name}] if component.name in names else []
    return {"anyOf": [*bare, {"type": "string", "pattern": _qualified(component)}]}


def _qualified(component: Component) -> str:
    return f"^{re.sub('[-_.]+', '[-_.]+', component.distribution)}/{component.name}$"


def _about(component: Component) -> str:
    return f"{_sentence(component.summary)} ({component.provider})"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _properties(config: type) -> dict[str, Schema]:
    return {option.name: _option(option) for option in options(config)}


def _mapping(config: type) -> Schema:
    return {"type": "object", "properties": _properties(config), "additionalProperties": False}


def _option(option: Option) -> Schema:
    try:
        schema = of_type(option.type)
    except TypeError:  # reported when it is used, and by `vast plugins doctor`
        schema = {}
    limits = {key: limit for key, limit in option.limits.items() if _is_json(limit)}
    lengths = {key: limits.pop(key) for key in ("minLength", "maxLength") if key in limits}
    for key, length in lengths.items():
        for sort in ("Length", "Items", "Properties"):  # each counts in values of its own type only
            limits[key[:3] + sort] = length
    if "enum" in limits and "enum" in schema:  # a Literal that a validator repeats
        del limits["enum"]
    schema = {**schema, **limits} if not limits.keys() & schema.keys() else {"allOf": [schema, limits]}
    must = "" if not option.required else "Has no default: to be stated here, in a base or on the command line."
    if description := " ".join(filter(None, [option.doc, must])):
        schema = {"description": description, **schema}
    default = plain(option.default)
    return {**schema, "default": default} if _is_json(default) else schema


def of_type(kind: Any) -> Schema:
    """The schema of the values that the reader takes for a type.

    Raises :class:`TypeError` if a recipe cannot give that type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if origin is Annotated and arguments[0] is Use:
        return {"$ref": f"#/$defs/{arguments[1]}"}
    if attrs.has(kind):
        return _mapping(kind)
    if origin in (Union, types.UnionType):
        return _any([of_type(one) for one in arguments])
    if origin is Literal:
        return {"enum": list(arguments)}
    if (origin or kind) is tuple and arguments and arguments[-1] is not Ellipsis:
        items = [of_type(one) for one in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if (origin or kind) in (list, tuple, collections.abc.Sequence):
        return {"type": "array", "items": of_type(arguments[0] if arguments else str)}
    if (origin or kind) in (dict, collections.abc.Mapping):
        return {"type": "object", "additionalProperties": of_type(arguments[1] if arguments else str)}
    if kind not in _SCALARS:
        raise TypeError(f"{kind!r} cannot be written in a recipe")
    return dict(_SCALARS[kind])


def _any(schemas: list[Schema]) -> Schema:
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": list(dict.fromkeys(schema["type"] for schema in schemas))}
    return {"anyOf": schemas}


def _is_json(value: Any) -> bool:
    """Whether JSON can express it; JSON has neither infinity nor the marker of a missing default."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
