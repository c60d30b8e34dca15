"""Every registered flow, whoever provides it, keeps every rule; chains of any length and form, too."""

from typing import Literal, get_args, get_origin

import attrs
import pytest

from vast_core.registry import Registry
from vast_core.testing import Subject, check, conformance

FLOWS = Registry.discover().components("flow")


def variants():
    """Each flow in lengths of 1, 2, 3 and 16, and with each choice of its other options."""
    for component in FLOWS:
        for field in attrs.fields(attrs.resolve_types(component.config)):
            values = get_args(field.type) if get_origin(field.type) is Literal else ()
            for value in (1, 2, 3, 16) if field.name == "steps" else values:
                yield pytest.param(component, {field.name: value}, id=f"{component.name} {field.name}={value}")


def test_all_first_party_flows_are_registered():
    assert {"none", "householder", "planar", "radial"} <= {component.name for component in FLOWS}


@pytest.mark.parametrize(
    "case", [case for flow in FLOWS for case in conformance(f"flow/{flow.distribution}/{flow.name}")]
)
def test_flow_conforms(case):
    case()


@pytest.mark.parametrize(("component", "options"), list(variants()))
def test_flow_conforms_in_every_form(component, options):
    outcomes = check(Subject.of(component, component.config(**options)))
    assert {outcome.rule.name: outcome.detail for outcome in outcomes if outcome.state == "broken"} == {}
