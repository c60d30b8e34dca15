"""Whether everything is installed that an avatar was made with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ComponentError
from ..registry.registry import Registry
from .packing import SPEAKING

__all__ = ["check_installed"]


def check_installed(path: Path, header: Mapping[str, Any], registry: Registry) -> None:
    """Raise :class:`ComponentError` with the packages of all components that are not installed, or of all sections.

    ``header`` is that of the avatar in ``path``. A section is of those that every recipe has, such as that of the marks
    of synthetic media: without its plugin they would be missing.
    """
    _check_components(path, header.get("components", {}), registry)
    known = {section.name for section in registry.sections}
    needed: Mapping[str, str] = header.get("sections", {})
    if missing := [f"`{name}` of {provider}" for name, provider in needed.items() if name not in known]:
        raise ComponentError(
            f"{path}: was made with sections of a recipe that are not loaded: {', '.join(missing)}; install the "
            "package, and load the plugin if --no-plugins or VAST_PLUGINS leaves it out"
        )


def _check_components(path: Path, components: Mapping[str, str], registry: Registry) -> None:
    installed = {plugin.distribution for plugin in registry.plugins}
    missing = []
    for kind in SPEAKING:
        found = re.fullmatch(r"(\S+) \((\S+)(?: (.+))?\)", components.get(kind, ""))
        if found is None or found[2] in installed:  # loading the recipe reports an installed but broken plugin
            continue
        try:
            registry.get(kind, f"{found[2]}/{found[1]}")
        except ComponentError:
            version = f" (made with version {found[3]})" if found[3] else ""
            missing.append(f"  {kind} {found[1]}: pip install {found[2]}{version}")
    if missing:
        raise ComponentError(f"{path}: this avatar needs components that are not installed:\n" + "\n".join(missing))
