"""Problems of the installed plugins: what is wrong, why, and what to do.

Only declarations and metadata are read; no component is imported.
"""

from __future__ import annotations

import re
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import attrs
from packaging.requirements import InvalidRequirement, Requirement

from ..recipe.json_schema import of_type
from ..registry.declarations import Component, SectionSpec, StageSpec
from ..registry.discovery import Plugin, explain
from ..registry.isolation import SLOW
from ..registry.registry import Registry

DEVELOPERS = {"dev", "develop", "doc", "docs", "lint", "test", "testing", "tests", "typing"}
"""Extras that are for developers and not needed to use a package."""


@attrs.frozen
class Finding:
    """Something that a user should know."""

    wrong: bool
    """True if something does not work; False if it is only worth knowing."""
    title: str
    cause: str
    remedy: str


def findings(registry: Registry, commands: Mapping[str, Sequence[str]]) -> list[Finding]:
    """All findings; ``commands`` maps each command to the plugins that add it."""
    return [
        *_unloaded(registry),
        *_clashes(registry, commands),
        *_unsound(registry),
        *_packages(registry),
        *_imports(registry),
    ]


def _unloaded(registry: Registry) -> Iterator[Finding]:
    for plugin in registry.plugins:
        if plugin.state in ("broken", "foreign", "shadowed"):
            where = _where(plugin.error)
            state = {"foreign": "is made for another vast", "shadowed": "is hidden"}.get(plugin.state, "is broken")
            cause = f"{plugin.cause} (at {where})" if where else plugin.cause
            yield Finding(True, f"plugin {plugin} {state}", cause, plugin.remedy or _remedy(plugin))
    off = [plugin.name for plugin in registry.plugins if plugin.state == "disabled"]
    if off:
        title = "1 plugin is switched off" if len(off) == 1 else f"{len(off)} plugins are switched off"
        yield Finding(
            False, title, f"by --no-plugins or VAST_PLUGINS: {', '.join(off)}", "unset VAST_PLUGINS to load all"
        )


def _where(error: BaseException | None) -> str:
    """File and line in the plugin at which it failed; empty if it failed elsewhere."""
    own = Path(__file__).parents[1]
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    for frame in reversed(frames):
        path = Path(frame.filename)
        if path.is_file() and own not in path.parents and not {"importlib", "pluggy", "attr"} & set(path.parts[-4:]):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _remedy(plugin: Plugin) -> str:
    error, package = plugin.error, plugin.distribution
    meanwhile = f"or leave it out: pip uninstall {package}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        if plugin.module.partition(":")[0] == error.name or plugin.module.startswith(f"{error.name}."):
            return f"the package is damaged or half removed: pip install --force-reinstall {package}; {meanwhile}"
        lacking = [str(requirement) for requirement in _unmet(plugin, "")]
        if lacking:
            return f"install what it requires: pip install {_quoted(lacking)}"
        return f"install the package that has the module {error.name}, and ask its authors to require it; {meanwhile}"
    if isinstance(error, SystemExit):
        return f"tell its authors that it exits the program when imported; {meanwhile}"
    return f"upgrade it, or tell its authors: pip install --upgrade {package}; {meanwhile}"


def _clashes(registry: Registry, commands: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    counted = Counter((c.kind, c.name) for c in registry.components())
    for kind, name in (key for key, count in counted.items() if count > 1):
        owners = [c for c in registry.components(kind) if c.name == name]
        distributions = sorted({c.distribution for c in owners})
        ways = " or ".join(f"`use: {distribution}/{name}`" for distribution in distributions)
        remedy = f"write {ways} in recipes, or uninstall one"
        if len(distributions) == 1:
            remedy = f"name one of its plugins in VAST_PLUGINS, and tell the authors of {distributions[0]}"
        given = " and ".join(c.provider for c in owners)
        yield Finding(True, f"{kind}/{name} is the name of several", f"provided by {given}", remedy)
    others = (*registry.stages, *registry.sections)
    titles = Counter((one.sort, one.name) for one in others)
    for sort, name in (key for key, count in titles.items() if count > 1):
        given = " and ".join(one.provider for one in others if (one.sort, one.name) == (sort, name))
        remedy = "name one of them in VAST_PLUGINS, or uninstall one"
        yield Finding(True, f"{sort}/{name} is the name of several", f"provided by {given}", remedy)
    for name, plugins in commands.items():
        if len(plugins) > 1:
            remedy = "name one of them in VAST_PLUGINS, or uninstall one"
            yield Finding(True, f"vast {name} is several commands", f"added by {' and '.join(plugins)}", remedy)
    entries = Counter(plugin.name for plugin in registry.plugins if plugin.state == "loaded")
    for name in (name for name, count in entries.items() if count > 1):
        owners_ = " and ".join(p.provider for p in registry.plugins if p.name == name and p.state == "loaded")
        remedy = f"VAST_PLUGINS={name} loads all; name the package to load one"
        yield Finding(False, f"several plugins are called {name}", f"they come with {owners_}", remedy)


def _unsound(registry: Registry) -> Iterator[Finding]:
    """Components, stages and sections whose options or code cannot work."""
    declared: list[Component | StageSpec | SectionSpec] = [
        *registry.components(),
        *registry.stages,
        *registry.sections,
    ]
    for one in declared:
        title = f"{one.title} of {one.provider or 'vast itself'} cannot work"
        remedy = f"upgrade {one.distribution}, or tell its authors"
        if not isinstance(one, SectionSpec) and not _has_module(one.target.partition(":")[0]):
            yield Finding(True, title, f"there is no module {one.target.partition(':')[0]}", remedy)
        fields = [field for field in attrs.fields(attrs.resolve_types(one.config)) if field.init]
        for field in fields:
            try:
                of_type(field.type)
            except TypeError as error:
                yield Finding(True, title, f"its option {field.alias}: {error}", remedy)
        if all(field.default is not attrs.NOTHING for field in fields):
            try:
                one.config()
            except Exception as error:  # noqa: BLE001 - a plugin's class may raise anything; it is reported
                yield Finding(True, title, f"it refuses its own defaults: {explain(error)}", remedy)


def _has_module(name: str) -> bool:
    """Whether a module exists; neither the module nor its package is imported."""
    top, *rest = name.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # a module without a spec, such as one created at run time
        return True
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return False
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec is not None


def _packages(registry: Registry) -> Iterator[Finding]:
    """Packages that the plugins' distributions require or can use, and that are missing."""
    seen = set()
    for plugin in registry.plugins:
        if plugin.entry_point is None or plugin.entry_point.dist is None or plugin.distribution in seen:
            continue
        if plugin.state not in ("loaded", "broken"):
            continue
        seen.add(plugin.distribution)
        name = plugin.distribution
        if lacking := _unmet(plugin, ""):
            told = ", ".join(map(_lack, lacking))
            yield Finding(
                True, f"{plugin.provider} lacks what it requires", told, f"pip install {_quoted(map(str, lacking))}"
            )
        extras = plugin.entry_point.dist.metadata.get_all("Provides-Extra") or []
        for extra in sorted(set(extras) - DEVELOPERS):
            if lacking := _unmet(plugin, extra):
                told = ", ".join(map(_lack, lacking))
                title = f"the extra {extra} of {plugin.provider} is not installed"
                yield Finding(False, title, told, f"pip install {_quoted([f'{name}[{extra}]'])}, where it is wanted")


def _unmet(plugin: Plugin, extra: str) -> list[Requirement]:
    """Requirements of a plugin's distribution, or of one of its extras, that are not installed."""
    distribution: Distribution | None = plugin.entry_point.dist if plugin.entry_point is not None else None
    lacking = []
    for line in (distribution.requires or []) if distribution is not None else []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # pip accepted it
            continue
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        asked = always if not extra else not always and marker is not None and marker.evaluate({"extra": extra})
        if asked and not _is_met(requirement):
            requirement.marker = None
            lacking.append(requirement)
    return lacking


def _is_met(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _lack(requirement: Requirement) -> str:
    try:
        return f"{requirement} is required, but {version(requirement.name)} is installed"
    except PackageNotFoundError:
        return f"{requirement} is not installed"


def _quoted(requirements: Iterator[str] | Sequence[str]) -> str:
    return " ".join(f"'{one}'" if re.search(r"[^\w.-]", one) else one for one in requirements)


def _imports(registry: Registry) -> Iterator[Finding]:
    """What imports do beside: all of them run each time the program starts."""
    advice = "tell its authors: plugin.py and config.py are imported at every start, and are to import nothing heavy"
    for plugin in registry.plugins:
        if plugin.imports_torch:
            title = f"plugin {plugin} imports torch"
            yield Finding(False, title, f"it took {plugin.seconds:.1f} s, at every start of vast", advice)
        elif plugin.seconds >= SLOW:
            title = f"plugin {plugin} is slow to import"
            module = plugin.module.partition(":")[0]
            seen = f"python -X importtime -c 'import {module}' shows where the time goes; {advice}"
            yield Finding(False, title, f"it took {plugin.seconds:.1f} s, at every start of vast", seen)
