"""The frame of the conformance kit: a component under check, the rules of its kind, and what came of each.

Every rule stands alone: it makes what it needs from the :class:`Subject`, and fails for one reason. So an author reads
all that is wrong in one go, and a test can hold that a broken component is caught by its own rule and by no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Literal, NoReturn

import attrs
import torch

from ..errors import ComponentError, NotComputed, WeightsError
from ..interfaces import Sizes
from ..registry.declarations import Component, Kind

Check = Callable[["Subject"], None]

WIDTHS: tuple[Mapping[str, int], ...] = (
    {"image": 32, "audio": 5, "expression": 6, "lower_face": 3, "vertices": 7, "style": 6, "context": 5},
    {"image": 64, "audio": 3, "expression": 4, "lower_face": 2, "vertices": 9, "style": 2, "context": 8},
)
"""The sizes that a component is made in, where its config does not fix them; no two equal ones meet in one place."""


class Nonconforming(AssertionError):
    """A component breaks a rule of its interface; the message says how."""


class NotApplicable(Exception):
    """A rule has nothing to hold a component to: it offers no inverse, say, or its weights are not here."""


@attrs.frozen(kw_only=True)
class Subject:
    """A component under check: what makes it, in which configuration and sizes."""

    component: Component
    config: Any
    sizes: tuple[Sizes, ...]
    """At least one; rules that look at widths go through all of them, others take the first."""
    implementation: Any = None
    """The class itself, for one that stands in no module; else the component's target is imported."""
    known: dict[str, Any] = attrs.field(factory=dict, eq=False, repr=False)
    """What took time to find out and more than one rule needs."""

    @classmethod
    def of(cls, component: Component, config: Any = None, implementation: Any = None, fps: float = 25) -> Subject:
        """A component in ``config``, or in the defaults of its options, and in all of :data:`WIDTHS`.

        Widths that the config gives (``sizes()``) replace those of :data:`WIDTHS`.

        Raises:
            NotApplicable: where an option has no default and no config is given.
            Nonconforming: where the options refuse their own defaults.
        """
        if config is None:
            required = [field.alias for field in attrs.fields(component.config) if field.default is attrs.NOTHING]
            if required:
                raise NotApplicable(
                    f"{component.title} has options without a default ({', '.join(required)}): give some"
                )
            try:
                config = component.config()
            except Exception as error:
                raise Nonconforming(f"{component.config.__name__}() fails: {type(error).__name__}: {error}") from error
        own = config.sizes() if hasattr(config, "sizes") else {}
        sizes = tuple(Sizes(fps=fps, **{**widths, **own}) for widths in WIDTHS)
        return cls(component=component, config=config, sizes=sizes, implementation=implementation)

    def build(self, sizes: Sizes | None = None, seed: int = 0) -> Any:
        """A new one, its weights drawn from ``seed``; raises whatever goes wrong, for rules about making it."""
        factory = self.component.load() if self.implementation is None else self.implementation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return factory.from_config(self.config, self.sizes[0] if sizes is None else sizes)

    def make(self, sizes: Sizes | None = None, seed: int = 0) -> Any:
        """A new one, its weights drawn from ``seed``.

        Raises:
            NotApplicable: where it cannot be made, which the rules ``importable`` and ``made`` tell, or where weights
                that it needs are not to be had here.
        """
        try:
            return self.build(sizes, seed)
        except WeightsError as error:
            raise NotApplicable(str(error)) from error
        except ComponentError as error:
            raise NotApplicable("see `importable`") from error
        except Exception as error:  # a component under check may fail in any way; the rule says in which
            raise NotApplicable("see `made`") from error


@attrs.frozen
class Rule:
    """One thing that every component of a kind must do."""

    kind: Kind
    name: str
    summary: str
    check: Check
    """Raises :class:`Nonconforming` or :class:`NotApplicable`."""


@attrs.frozen
class Outcome:
    """What came of one rule."""

    rule: Rule
    state: Literal["kept", "broken", "not applicable"]
    detail: str
    seconds: float


_RULES: dict[Kind, dict[str, Rule]] = {}


def rule(*kinds: Kind) -> Callable[[Check], Check]:
    """Make a function a rule of these kinds; its name (``_`` for a space) and docstring describe it."""

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
    """The rules of a kind: those of every declaration first, then its own."""
    for module in ("declaration", kind):
        import_module(f"{__package__}.{module}")
    return tuple(_RULES[kind].values())


def check(subject: Subject, only: Iterable[str] | None = None) -> list[Outcome]:
    """Hold ``subject`` to every rule of its kind, or to those called ``only``; what came of each."""
    wanted = None if only is None else set(only)
    return [hold(subject, one) for one in rules(subject.component.kind) if wanted is None or one.name in wanted]


def hold(subject: Subject, one: Rule) -> Outcome:
    """Hold ``subject`` to one rule; torch's generator is seeded for it and left as it was."""
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
    except Exception as error:  # noqa: BLE001 - a component under check may fail in any way; that is the finding
        state, detail = "broken", f"{type(error).__name__}: {error}"
    return Outcome(one, state, detail, time.perf_counter() - started)


def require(satisfied: bool, detail: str) -> None:
    """Raise :class:`Nonconforming` unless ``satisfied``."""
    if not satisfied:
        raise Nonconforming(detail)


def first_line(error: BaseException) -> str:
    """Of what an error says; empty where it says nothing."""
    return (str(error).splitlines() or [""])[0]


def not_applicable(reason: str) -> NoReturn:
    """Raise :class:`NotApplicable`."""
    raise NotApplicable(reason)
