"""The conformance kit: rules that every component of a kind must keep, for authors of plugins.

In the tests of a package, one test for each component and rule::

    import pytest
    from vast_core.testing import conformance

    @pytest.mark.parametrize("case", conformance("vast-shift"))
    def test_conforms(case):
        case()

``pytest -v`` then lists ``flow/shift: log det`` and so on; a rule that does not apply is skipped with the reason. A
component is checked with the defaults of its options, or with given configs, if an option has no default::

    conformance("vast-shift", {"flow/shift": [ShiftConfig(reach=0.5), ShiftConfig(reach=2.0)]})

The same rules without pytest: ``vast plugins check vast-shift``, ``vast plugins check flow/shift``, or :func:`check` of
a :class:`Subject`, which also accepts a class that no plugin declares. The rules of a kind are the functions decorated
with :func:`rule` in ``vast_core/testing/<kind>.py``, those of all kinds in ``declaration.py``.

Importing this package does not import torch; names that need torch are imported on first access.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .suite import Case, conformance

if TYPE_CHECKING:
    from .kit import Nonconforming, NotApplicable, Outcome, Rule, Subject, check, hold, not_applicable, require
    from .kit import rule as rule
    from .kit import rules as rules

__all__ = [
    "Case",
    "Nonconforming",
    "NotApplicable",
    "Outcome",
    "Rule",
    "Subject",
    "check",
    "conformance",
    "hold",
    "not_applicable",
    "require",
    "rule",
    "rules",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.kit"), name)
