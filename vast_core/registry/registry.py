"""All components, stages and sections of recipes, their providers, and the plugins that failed to load.

A plugin is an entry point of the group ``vast.v1``: a module (or object) with hooks of
:mod:`vast_core.registry.hookspecs`. A broken plugin disables its own components and nothing else. This module imports
no torch.
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Self, TypeVar

import attrs
import pluggy

from ..errors import ComponentError, Interrupted, VastError
from ..stopping import exit_code
from . import hookspecs
from .core_stages import CORE_STAGES, DEFAULT_RUN
from .declarations import KINDS, Component, Declared, SectionSpec, StageSpec
from .discovery import Plugin, explain, installed_plugins, normalised, wanted
from .isolation import isolated

Declaration = TypeVar("Declaration", bound=Declared)


class Registry:
    """All working components, stages and sections that are installed, and the hooks of their plugins."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._components: dict[str, list[Component]] = {}
        self._stages: dict[str, list[StageSpec]] = {}
        self._sections: dict[str, list[SectionSpec]] = {}
        self._plugins: dict[str, Plugin] = {}

    # ------------------------------------------------------------------------------------------ reading

    @property
    def hooks(self) -> pluggy.HookRelay:
        """The hooks of all plugins, without error handling; vast itself calls them by :meth:`notify`."""
        return self._manager.hook

    def each(self, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Every plugin's implementation of a hook, with the plugin's name for :meth:`reject`."""
        for implementation in list(getattr(self.hooks, hook).get_hookimpls()):
            yield implementation.plugin_name, partial(_call, implementation)

    def notify(self, hook: str, **arguments: object) -> None:
        """Call a hook of all plugins; a plugin that fails causes a warning and is disabled from then on.

        A :class:`VastError` (such as a full disk) is meant for the user and is raised.
        """
        for plugin, call in self.each(hook):
            try:
                call(**arguments)
            except VastError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises must not cost a day of training
                self.reject(plugin, error)
                message = f"plugin {plugin!r} failed in {hook} and is left out from now on: {error!r}"
                warnings.warn(message, stacklevel=2)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every entry point found, in a fixed order, including broken and disabled ones."""
        return tuple(self._plugins.values())

    @property
    def broken(self) -> tuple[Plugin, ...]:
        """Plugins that failed to load."""
        return tuple(plugin for plugin in self.plugins if plugin.state == "broken")

    def components(self, kind: str | None = None) -> tuple[Component, ...]:
        """Every component, or those of one kind, by kind, name and distribution."""
        found = [c for components in self._components.values() for c in components if kind in (None, c.kind)]
        return tuple(sorted(found, key=lambda c: (KINDS.index(c.kind), c.name, c.distribution)))

    def names(self, kind: str) -> tuple[str, ...]:
        """Names that :meth:`get` accepts, sorted; ``distribution/name`` if a name alone is ambiguous."""
        components = self.components(kind)
        bare = [c.name for c in components]
        return tuple(c.name if bare.count(c.name) == 1 else f"{c.distribution}/{c.name}" for c in components)

    def get(self, kind: str, name: str) -> Component:
        """The component of this name, also written ``distribution/name``.

        Raises :class:`ComponentError` if it is unknown or ambiguous; the message says what to write instead.
        """
        distribution, _, bare = name.rpartition("/")
        named = [c for c in self.components(kind) if c.name == bare]
        found = [c for c in named if not distribution or normalised(c.distribution) == normalised(distribution)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ComponentError(_ambiguous(kind, bare, found))
        raise ComponentError(self._unknown(kind, name, self.names(kind), named))

    @property
    def stages(self) -> tuple[StageSpec, ...]:
        """Every stage: the core's in their order, then those of plugins by name and distribution."""
        added = [stage for stages in self._stages.values() for stage in stages]
        return (*CORE_STAGES, *sorted(added, key=lambda stage: (stage.name, stage.distribution)))

    @property
    def default_run(self) -> tuple[StageSpec, ...]:
        """The stages that a recipe runs by default.

        Raises :class:`ComponentError` if two plugins declare one of them.
        """
        installed = {stage.name for stage in self.stages}
        return tuple(self.stage(name) for name in DEFAULT_RUN if name in installed)

    def stage(self, name: str) -> StageSpec:
        """The stage of this name.

        Raises :class:`ComponentError` if it is unknown or declared by two plugins; the message says what to do.
        """
        return self._only("stage", name, self.stages)

    @property
    def sections(self) -> tuple[SectionSpec, ...]:
        """The sections of a recipe that plugins read, by name and distribution."""
        added = [section for sections in self._sections.values() for section in sections]
        return tuple(sorted(added, key=lambda section: (section.name, section.distribution)))

    def section(self, name: str) -> SectionSpec:
        """The section of this name; raises :class:`ComponentError` as :meth:`stage` does."""
        return self._only("section", name, self.sections)

    def _only(self, sort: str, name: str, declared: Sequence[Declaration]) -> Declaration:
        found = [one for one in declared if one.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            owners = " and ".join(one.provider for one in found)
            raise ComponentError(f"{sort} {name!r} is declared by {owners}; name one of them in VAST_PLUGINS")
        raise ComponentError(self._unknown(sort, name, [one.name for one in declared]))

    def _unknown(self, kind: str, name: str, known: Sequence[str], elsewhere: Sequence[Component] = ()) -> str:
        parts = [f"no {kind} is called {name!r}"]
        if elsewhere:
            parts[0] += f"; write {' or '.join(f'{c.distribution}/{c.name}' for c in elsewhere)}"
        elif close := difflib.get_close_matches(name, known, n=1):
            parts[0] += f"; did you mean {close[0]!r}?"
        package, *left_out = self.why_unknown(kind, name)
        parts += [*filter(None, [package]), f"installed: {', '.join(known) or 'none'}", *left_out]
        return parts[0] + " (" + "; ".join(parts[1:]) + ")"

    def why_unknown(self, kind: str, name: str) -> list[str]:
        """Reasons why a name may be missing: its package (empty if unknown) and the plugins that are not loaded."""
        package = _known_providers().get(kind, {}).get(name)
        if package in {plugin.distribution for plugin in self.plugins}:  # then it is installed, but left out
            package = None
        reasons = [f"it comes with the package {package}: pip install {package}" if package else ""]
        if self.broken:
            reasons.append("broken: " + ", ".join(str(p) for p in self.broken) + "; `vast plugins doctor` says why")
        if disabled := [p.name for p in self.plugins if p.state == "disabled"]:
            reasons.append(f"switched off by --no-plugins or VAST_PLUGINS: {', '.join(disabled)}")
        return reasons

    # --------------------------------------------------------------------------------------- registering

    def register(self, plugin: object, *, name: str, distribution: str, version: str = "") -> None:
        """Register a plugin's hooks and declarations: all of them, or none if an exception is raised.

        Raises what is wrong with the plugin: a misspelt hook, wrong arguments, a bad declaration.
        """
        if name in self._plugins and self._plugins[name].state == "loaded":
            raise ValueError(f"a plugin called {name!r} is registered already")
        provider = f"{distribution} {version}".strip()
        try:
            self._manager.register(plugin, name=name)
            self._check_hooks(plugin)
            components = self._declared(plugin, "vast_components", Component, provider)
            stages = self._declared(plugin, "vast_stages", StageSpec, provider)
            sections = self._declared(plugin, "vast_sections", SectionSpec, provider)
            _check_stages(stages)
        except BaseException:
            self._forget(name)
            raise
        self._components[name], self._stages[name], self._sections[name] = components, stages, sections
        self._plugins[name] = Plugin(
            name=name,
            module=getattr(plugin, "__name__", type(plugin).__qualname__),
            distribution=distribution,
            version=version,
        )

    def reject(self, name: str, error: BaseException) -> None:
        """Remove a loaded plugin and list it as broken."""
        self._forget(name)
        self._plugins[name] = attrs.evolve(self._plugins[name], state="broken", cause=explain(error), error=error)

    def _check_hooks(self, plugin: object) -> None:
        callers = self._manager.get_hookcallers(plugin) or []
        if not callers:
            raise ValueError("implements no hook; decorate its functions with @vast_core.hookimpl")
        known = [name for name in dir(hookspecs) if name.startswith("vast_")]
        for caller in callers:
            optional = all(i.optionalhook for i in caller.get_hookimpls() if i.plugin is plugin)
            if not caller.has_spec() and not optional:
                close = difflib.get_close_matches(caller.name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"the hooks: {', '.join(known)}"
                raise ValueError(f"no hook is called {caller.name!r}; {hint}")

    def _declared(self, plugin: object, hook: str, sort: type[Declaration], provider: str) -> list[Declaration]:
        """The declarations returned by a plugin's implementation of ``hook``."""
        found: dict[str, Declaration] = {}
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            declared: Any = implementation.function()
            if not isinstance(declared, Iterable):
                raise TypeError(f"{hook} gave {declared!r}, not the {hook.removeprefix('vast_')} to declare")
            for one in declared:
                if not isinstance(one, sort):
                    raise TypeError(f"{hook} gave {one!r}, which is no vast_core.{sort.__name__}")
                if one.title in found:
                    raise ValueError(f"declares {one.title} twice")
                found[one.title] = attrs.evolve(one, provider=provider)
        return list(found.values())

    def _forget(self, name: str) -> None:
        for declared in (self._components, self._stages, self._sections):
            declared.pop(name, None)
        if self._manager.get_plugin(name) is not None:
            self._manager.unregister(name=name)
        for hook, caller in list(vars(self._manager.hook).items()):
            if not caller.has_spec() and not caller.get_hookimpls():
                delattr(self._manager.hook, hook)  # remains of a misspelt hook

    # ----------------------------------------------------------------------------------------- discovery

    @classmethod
    def discover(
        cls,
        *,
        plugins: bool = True,
        environ: Mapping[str, str] | None = None,
        found: Iterable[Distribution] | None = None,
    ) -> Self:
        """Load every plugin of this API version; a failing plugin is recorded, not raised.

        ``plugins=False`` loads none. In the environment, ``VAST_PLUGINS=a,b`` loads only the named plugins or
        distributions (none if it is empty), and ``VAST_STRICT_PLUGINS=1`` raises :class:`ComponentError` at the first
        broken one. ``found`` replaces the installed distributions.
        """
        environ = os.environ if environ is None else environ
        strict = environ.get("VAST_STRICT_PLUGINS", "") not in ("", "0")
        registry = cls()
        installed = installed_plugins(distributions() if found is None else found)
        only = wanted(environ.get("VAST_PLUGINS", "") if plugins else "", installed)
        everything = plugins and "VAST_PLUGINS" not in environ
        for plugin in installed:
            if plugin.state == "loaded" and not everything and not plugin.answers_to(only):
                plugin = attrs.evolve(plugin, state="disabled", cause="switched off by --no-plugins or VAST_PLUGINS")
            key = registry._free_key(plugin)
            registry._plugins[key] = registry._loaded(key, plugin) if plugin.state == "loaded" else plugin
            if strict and registry._plugins[key].state == "broken":
                raise ComponentError(
                    f"plugin {plugin} is broken: {registry._plugins[key].cause} (raised as VAST_STRICT_PLUGINS is set)"
                )
        return registry

    def _free_key(self, plugin: Plugin) -> str:
        """The entry point's name, extended if another plugin has the same name."""
        key = plugin.name if plugin.name not in self._plugins else f"{plugin.distribution}:{plugin.name}"
        while key in self._plugins:
            key += "+"
        return key

    def _loaded(self, key: str, plugin: Plugin) -> Plugin:
        with isolated() as cost:
            try:
                if plugin.entry_point is None:
                    raise ValueError("has no entry point")
                module = plugin.entry_point.load()
                self.register(module, name=key, distribution=plugin.distribution, version=plugin.version)
            except KeyboardInterrupt as error:
                raise Interrupted(
                    exit_code(error) - 128,
                    f"interrupted while plugin {plugin} was imported; VAST_PLUGINS or --no-plugins leaves it out",
                ) from error
            except BaseException as error:  # noqa: BLE001 - it may fail in any way, and is listed with its cause
                plugin = attrs.evolve(plugin, state="broken", cause=explain(error), error=error)
        return attrs.evolve(plugin, seconds=cost.seconds, imports_torch=cost.imports_torch)


def _call(implementation: pluggy.HookImpl, **arguments: object) -> object:
    """Call one implementation with the arguments that it takes."""
    return implementation.function(*(arguments[name] for name in implementation.argnames))


def _check_stages(stages: Sequence[StageSpec]) -> None:
    """Raise ValueError if a stage has the name of a core stage."""
    for stage in stages:
        if stage.name in {own.name for own in CORE_STAGES}:
            raise ValueError(f"declares {stage.title}, a stage of vast itself")


def _ambiguous(kind: str, name: str, found: list[Component]) -> str:
    owners = sorted({c.distribution for c in found})
    if len(owners) == 1:
        return (
            f"{found[0].provider} provides {kind} {name!r} twice, in two of its plugins; "
            "name only one of them in VAST_PLUGINS, and tell its authors"
        )
    ways = " or ".join(f"`use: {owner}/{name}`" for owner in owners)
    return f"{kind} {name!r} is provided by {', '.join(c.provider for c in found)}; write {ways}"


def _known_providers() -> Mapping[str, Mapping[str, str]]:
    """Packages that provide components that may not be installed, by kind and name."""
    import yaml  # only a message needs it

    listed = yaml.safe_load(Path(__file__).with_name("providers.yaml").read_text(encoding="utf-8"))
    return {} if listed is None else listed
