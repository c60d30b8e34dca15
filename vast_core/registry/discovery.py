"""Finds the installed plugins without importing them."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Literal

import attrs

from ..errors import ComponentError

API = "v1"

GROUP = f"vast.{API}"
"""Group of the entry points of plugins; its last part is the version of the plugin API."""

PluginState = Literal["loaded", "broken", "foreign", "disabled", "shadowed"]


@attrs.frozen(kw_only=True)
class Plugin:
    """One entry point and its state."""

    name: str
    module: str
    distribution: str
    version: str
    state: PluginState = "loaded"
    cause: str = ""
    """Why it is not loaded; empty if it is loaded."""
    remedy: str = ""
    """What to do about it, if known."""
    error: BaseException | None = attrs.field(default=None, repr=False, eq=False)
    """The exception with which it failed."""
    seconds: float = 0.0
    """Wall time of its import and registration."""
    imports_torch: bool = False
    """Whether its import loaded torch, which makes every command slow to start."""
    entry_point: EntryPoint | None = attrs.field(default=None, repr=False)

    @property
    def provider(self) -> str:
        """Name and version of the distribution."""
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"{self.name} ({self.provider})"

    def answers_to(self, names: set[str]) -> bool:
        """Whether its own name or its distribution's is among ``names`` (normalised)."""
        return bool({normalised(self.name), normalised(self.distribution)} & names)


def installed_plugins(distributions: Iterable[Distribution]) -> list[Plugin]:
    """Every entry point of a group ``vast.v*``, by name and distribution; its state is "loaded" if it may be loaded.

    A plugin for another plugin API is "foreign". If a distribution is found in two folders, the one later on the path
    is "shadowed". A module that two distributions install is "broken" in both, because its origin is unknown.
    """
    plugins: list[Plugin] = []
    places: dict[str, list[tuple[str, str]]] = {}
    for distribution in distributions:
        try:
            if "[vast." not in (distribution.read_text("entry_points.txt") or ""):
                continue  # avoids parsing the metadata of every installed package
            name, version = distribution.name, distribution.version or ""
            if not isinstance(name, str):
                raise ValueError("it states no name")
            place = str(Path(str(distribution.locate_file(""))).resolve())
            points = [p for p in distribution.entry_points if re.fullmatch(r"vast\.v\d+", p.group)]
        except Exception as error:  # noqa: BLE001 - metadata may be damaged in any way; the other packages are sound
            folder = str(getattr(distribution, "_path", "a distribution without a name"))
            cause = f"its metadata cannot be read: {explain(error)}"
            damaged = Plugin(name="?", module="", distribution=folder, version="", state="broken", cause=cause)
            plugins.append(attrs.evolve(damaged, remedy="remove that folder and install the package again"))
            continue
        seen = places.setdefault(normalised(name), [])
        if (version, place) in seen:
            continue  # its folder is on the path twice
        seen.append((version, place))
        hidden = [(v, p) for v, p in seen if p != place]
        for point in points:
            plugin = Plugin(name=point.name, module=point.value, distribution=name, version=version, entry_point=point)
            if hidden:
                first = "{} in {}".format(*hidden[0])
                cause = f"{name} is installed twice: {version} in {place} is hidden by {first}"
                remedy = f"uninstall one: `pip uninstall {name}` takes away the one that is seen"
                plugin = attrs.evolve(plugin, state="shadowed", cause=cause, remedy=remedy)
            elif point.group != GROUP:
                made_for = point.group.removeprefix("vast.")
                cause = f"made for plugin API {made_for}, and this vast offers {API}"
                newer = "upgrade vast" if int(made_for[1:]) > int(API[1:]) else f"upgrade {name}"
                remedy = f"{newer}, or install a release of {name} that is made for {API}"
                plugin = attrs.evolve(plugin, state="foreign", cause=cause, remedy=remedy)
            plugins.append(plugin)
    plugins.sort(key=lambda p: (p.name, p.distribution, p.version))
    return [_without_rival(plugin, plugins) for plugin in plugins]


def _without_rival(plugin: Plugin, plugins: Sequence[Plugin]) -> Plugin:
    rivals = [p for p in plugins if p.state == plugin.state == "loaded" and p.module == plugin.module]
    if len(rivals) < 2:
        return plugin
    owners = sorted({p.provider for p in rivals})
    if len(owners) == 1:
        cause = f"{plugin.module} is listed twice, as {' and '.join(p.name for p in rivals)}"
        remedy = f"tell the authors of {plugin.distribution}: one entry point is enough"
    else:
        cause = f"{plugin.module} is installed by {' and by '.join(owners)}, one over the other"
        names = sorted({p.distribution for p in rivals})
        remedy = f"uninstall {' or '.join(names)}, and install the other again: its files may be missing"
    return attrs.evolve(plugin, state="broken", cause=cause, remedy=remedy)


def wanted(names: str, plugins: Iterable[Plugin]) -> set[str]:
    """The plugins and distributions that ``VAST_PLUGINS`` names, normalised.

    Raises :class:`ComponentError` if one is not installed.
    """
    asked = {normalised(name.strip()) for name in names.split(",") if name.strip()}
    known = sorted({normalised(n) for p in plugins for n in (p.name, p.distribution)})
    for name in sorted(asked - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ComponentError(f"VAST_PLUGINS: no plugin or package is called {name!r}{hint} (known: {', '.join(known)})")
    return asked


def normalised(name: str) -> str:
    """A distribution's name in the normalised form of package indices."""
    return re.sub(r"[-_.]+", "-", name).lower()


def explain(error: BaseException) -> str:
    """Type and message of an exception, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".removesuffix(": ").split())


def fault_line(error: BaseException) -> str:
    """File and line at which ``error`` arose; for errors inside torch, the line that called torch."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    ours = [frame for frame in frames if "torch" not in Path(frame.filename).parts] or frames
    return f"{ours[-1].filename}:{ours[-1].lineno}" if ours else ""
