"""All rules for all components of a package, as test cases of pytest and for `vast plugins check`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import ComponentError
from ..registry.declarations import KINDS, Component
from ..registry.discovery import normalised
from ..registry.registry import Registry

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

    from .kit import Rule

Configs = Mapping[str, Any]
"""One config or several for each component, by title such as ``flow/shift``. Other components use their defaults."""


def conformance(wanted: str, configs: Configs | None = None, registry: Registry | None = None) -> list[ParameterSet]:
    """Cases for ``pytest.mark.parametrize``: one for each component, config and rule, such as ``flow/shift: log det``.

    Args:
        wanted: a distribution such as ``vast-shift``, or one component such as ``flow/shift``.
        configs: see :data:`Configs`; needed for a component with an option that has no default.
        registry: the registry to search; by default, all installed plugins.

    Raises:
        ComponentError: if there is no such distribution or component, if its plugin is broken, or if a key of
            ``configs`` names no component of it.
    """
    import pytest

    from .kit import rules

    found = components(wanted, Registry.discover() if registry is None else registry)
    titles = [title(component) for component in found]
    if unknown := sorted((configs or {}).keys() - set(titles)):
        raise ComponentError(f"configs: {wanted} has no {unknown[0]} (it has {', '.join(titles)})")
    cases = []
    for component in found:
        given = _several((configs or {}).get(title(component)))
        for config in given:
            name = title(component) if len(given) < 2 else f"{title(component)} {brief(config)}"
            for rule in rules(component.kind):
                cases.append(pytest.param(Case(component, config, rule), id=f"{name}: {rule.name}"))
    return cases


@attrs.frozen
class Case:
    """One component with one config; a call checks it against one rule."""

    component: Component
    config: Any
    """None for the defaults."""
    rule: Rule

    def __call__(self) -> None:
        """Skip if the rule does not apply; raise :class:`vast_core.testing.Nonconforming` if it is broken."""
        import pytest

        from .kit import Nonconforming, NotApplicable, Subject, hold

        try:
            subject = Subject.of(self.component, self.config)
        except NotApplicable as error:
            pytest.skip(str(error))
        outcome = hold(subject, self.rule)
        if outcome.state == "not applicable":
            pytest.skip(outcome.detail)
        if outcome.state == "broken":
            raise Nonconforming(f"{title(self.component)}: {self.rule.name} ({self.rule.summary}): {outcome.detail}")


def components(wanted: str, registry: Registry) -> tuple[Component, ...]:
    """The components of a distribution, or the one that ``kind/name`` (or ``kind/distribution/name``) names.

    Raises :class:`ComponentError` if there is none, or if a plugin of the distribution is broken.
    """
    kind, _, name = wanted.partition("/")
    if kind in KINDS and name:
        return (registry.get(kind, name),)
    own = [plugin for plugin in registry.plugins if normalised(plugin.distribution) == normalised(wanted)]
    if not own:
        known = sorted({plugin.distribution for plugin in registry.plugins})
        close = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ComponentError(
            f"no package with plugins is called {wanted!r}{hint} (installed: {', '.join(known) or 'none'}); "
            "write a component as kind/name, such as flow/planar"
        )
    for plugin in own:
        if plugin.state != "loaded":
            raise ComponentError(f"plugin {plugin} is {plugin.state}: {plugin.cause}")
    found = [c for c in registry.components() if normalised(c.distribution) == normalised(wanted)]
    if not found:
        raise ComponentError(f"{own[0].provider} declares no component, and there are rules only for components")
    return tuple(found)


def title(component: Component) -> str:
    """Kind and name as on the command line, such as ``flow/planar``."""
    return f"{component.kind}/{component.name}"


def brief(config: Any) -> str:
    """Options of a config that differ from their defaults, such as ``steps=3``; ``defaults`` if none does."""
    changed = []
    for field in attrs.fields(type(config)):
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory(config) if default.takes_self else default.factory()
        if (value := getattr(config, field.name)) != default:
            changed.append(f"{field.alias}={value}")
    return " ".join(changed) or "defaults"


def _several(configs: Any) -> Sequence[Any]:
    return list(configs) if isinstance(configs, Iterable) else [configs]
