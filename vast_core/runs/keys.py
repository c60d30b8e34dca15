"""Digests: what makes a result out of date."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..registry.core_stages import CORE_STAGES
from ..registry.declarations import Component, StageSpec


def digest(value: Any) -> str:
    """The first 20 hex digits of the SHA-256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:20]


@cache
def source_digest(module: str) -> str:
    """Digest of a module's source, or of all files of a package, so that old results never pass for those of new code.

    A package's weights count, too: with others it gives other features.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise InputError(f"module {module!r} is not installed")
    own = Path(spec.origin)
    files = [file for file in sorted(own.parent.rglob("*")) if file.is_file()]
    joint = hashlib.sha256()
    for file in files if spec.submodule_search_locations else [own]:
        if "__pycache__" not in file.parts:
            joint.update(file.read_bytes())
    return joint.hexdigest()[:20]


def component_key(component: Component) -> dict[str, str]:
    """What identifies an implementation: name, provider and source."""
    package = component.target.partition(":")[0].partition(".")[0]
    return {"use": component.name, "provider": component.provider, "source": source_digest(package)}


def stage_source(stage: StageSpec) -> str:
    """Digest of a stage's code: of its module in the core, of the whole package that provides it in a plugin."""
    return source_digest(stage.module if stage in CORE_STAGES else stage.module.partition(".")[0])
