"""Framework of the conformance kit: a component under check, the rules of its kind, and the outcome of each rule.

Rules are independent: each makes what it needs from the :class:`Subject`, and fails for one reason. So an author sees
all faults at once, and a test can check that a broken component is caught by one rule and by no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Literal, NoReturn

import attrs
import torch

from ..errors import ComponentError, NotComputed, WeightsError
from ..interfaces import OPTIONAL_SIZES, SIZE_GIVEN_BY, Sizes
from ..registry.declarations import Component, Kind

Check = Callable[["Subject"], None]

WIDTHS: tuple[Mapping[str, int], ...] = (
    {"image": 32, "audio": 5, "expression": 6, "lower_face": 3, "vertices": 7, "style": 6, "context": 5},
    {"image": 64, "audio": 3, "expression": 4, "lower_face": 2, "vertices": 9, "style": 2, "context": 8},
)
"""Sizes with which a component is made, unless its config fixes them. Sizes that could be confused differ."""


class Nonconforming(AssertionError):
    """A component breaks a rule of its interface; the message describes how."""


class NotApplicable(Exception):
    """A rule does not apply to a component: for example, it offers no inverse, or its weights are missing."""


@attrs.frozen(kw_only=True)
class Subject:
    """A component under check, with its config and sizes."""

    component: Component
    config: Any
    sizes: tuple[Sizes, ...]
    """At least one. Rules about widths use all of them, other rules the first."""
    implementation: Any = None
    """The class itself, if it is in no module; otherwise the component's target is imported."""
    known: dict[str, Any] = attrs.field(factory=dict, eq=False, repr=False)
    """Results that are expensive to compute and that several rules need."""

    @classmethod
    def of(cls, component: Component, config: Any = None, implementation: Any = None, fps: float = 25) -> Subject:
        """A component with ``config``, or with the defaults of its options, in all sizes of :data:`WIDTHS`.

        Widths that the config gives (``sizes()``) replace those of :data:`WIDTHS`.

        Raises:
            NotApplicable: if an option has no default and no config is given.
            Nonconforming: if the options refuse their own defaults.
        """
        if config is None:
            required = [field.alias for field in attrs.fields(component.config) if field.default is attrs.NOTHING]
            if required:
                raise NotApplicable(
                    f"{component.title} has options without a default ({', '.join(required)}): give a config"
                )
            try:
                config = component.config()
            except Exception as error:
                raise Nonconforming(f"{component.config.__name__}() fails: {type(error).__name__}: {error}") from error
        own = config.sizes() if hasattr(config, "sizes") else {}
        # a width of ours does not fit those of a component that leaves it out
        left_out = {name for name in OPTIONAL_SIZES if component.kind == SIZE_GIVEN_BY[name]} - own.keys()
        ours = [{name: width for name, width in widths.items() if name not in left_out} for widths in WIDTHS]
        sizes = tuple(Sizes(fps=fps, **{**widths, **own}) for widths in ours)
        return cls(component=component, config=config, sizes=sizes, implementation=implementation)

    def build(self, sizes: Sizes | None = None, seed: int = 0) -> Any:
        """A new component with weights drawn from ``seed``. Errors are raised unchanged, for rules on construction."""
        factory = self.component.load() if self.implementation is None else self.implementation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return factory.from_config(self.config, self.sizes[0] if sizes is None else sizes)

    def make(self, sizes: Sizes | None = None, seed: int = 0) -> Any:
        """A new component with weights drawn from ``seed``.

        Raises:
            NotApplicable: if it cannot be made, which the rules ``importable`` and ``made`` report, or if weights that
                it needs are missing.
        """
        try:
            return self.build(sizes, seed)
        except WeightsError as error:
            raise NotApplicable(str(error)) from error
        except ComponentError as error:
            raise NotApplicable("see `importable`") from error
        except Exception as error:  # a component under check may fail in any way; the rule `made` reports it
            raise NotApplicable("see `made`") from error


@attrs.frozen
class Rule:
    """One requirement for every component of a kind."""

    kind: Kind
    name: str
    summary: str
    check: Check
    """Raises :class:`Nonconforming` or :class:`NotApplicable`."""


@attrs.frozen
class Outcome:
    """Outcome of one rule."""

    rule: Rule
    state: Literal["kept", "broken", "not applicable"]
    detail: str
    seconds: float


_RULES: dict[Kind, dict[str, Rule]] = {}


def rule(*kinds: Kind) -> Callable[[Check], Check]:
    """Register a function as a rule of these kinds; its name (``_`` for a space) and docstring describe the rule."""

    def register(check: Check) -> Check:
        name = check.__name__.replace("_", " ")
        summary = (check.__doc__ or "").strip().splitlines()[0]
        for kind in kinds:
            own = _RULES.setdefault(kind, {})
            if name in own:
                raise ValueError(f"two rules of {kind} are called {name!r}")
            own[name] = Rule(kind, name, summary, check)
        return check

    return register


def rules(kind: Kind) -> tuple[Rule, ...]:
    """The rules of a kind: first the rules of all declarations, then those of the kind itself."""
    for module in ("declaration", kind):
        import_module(f"{__package__}.{module}")
    return tuple(_RULES[kind].values())


def check(subject: Subject, only: Iterable[str] | None = None) -> list[Outcome]:
    """Check ``subject`` against every rule of its kind, or against those named in ``only``; returns the outcomes."""
    wanted = None if only is None else set(only)
    return [hold(subject, one) for one in rules(subject.component.kind) if wanted is None or one.name in wanted]


def hold(subject: Subject, one: Rule) -> Outcome:
    """Check ``subject`` against one rule. Torch's generator is seeded for it and restored afterwards."""
    started = time.perf_counter()
    state: Literal["kept", "broken", "not applicable"] = "kept"
    detail = ""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            one.check(subject)
    except NotApplicable as error:
        state, detail = "not applicable", str(error)
    except NotComputed as error:
        state, detail = "not applicable", f"not computed, because {error}"
    except Nonconforming as error:
        state, detail = "broken", str(error)
    except Exception as error:  # noqa: BLE001 - a component under check may fail in any way; the failure is the finding
        state, detail = "broken", f"{type(error).__name__}: {error}"
    return Outcome(one, state, detail, time.perf_counter() - started)


def require(satisfied: bool, detail: str) -> None:
    """Raise :class:`Nonconforming` unless ``satisfied``."""
    if not satisfied:
        raise Nonconforming(detail)


def first_line(error: BaseException) -> str:
    """First line of an error's message; empty if there is no message."""
    return (str(error).splitlines() or [""])[0]


def not_applicable(reason: str) -> NoReturn:
    """Raise :class:`NotApplicable`."""
    raise NotApplicable(reason)
