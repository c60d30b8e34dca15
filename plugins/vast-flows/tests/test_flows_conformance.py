"""Every registered flow, whoever provides it, keeps every rule; chains of any length and form, too."""

from typing import Literal, get_args, get_origin

import attrs
import pytest
import torch

from vast_core.interfaces import Sizes
from vast_core.registry import Registry
from vast_core.testing import Subject, check, conformance

FLOWS = Registry.discover().components("flow")

each_flow = pytest.mark.parametrize("component", FLOWS, ids=lambda component: component.name)


def variants():
    """Each flow in lengths of 1, 3 and 16, and with each choice of its other options that is not the default."""
    for component in FLOWS:
        for field in attrs.fields(attrs.resolve_types(component.config)):
            values = get_args(field.type) if get_origin(field.type) is Literal else ()
            for value in (1, 3, 16) if field.name == "steps" else values:
                if value != field.default:
                    yield pytest.param(component, {field.name: value}, id=f"{component.name} {field.name}={value}")


def moved(component, style, context):
    """In its defaults, away from its start."""
    torch.manual_seed(0)
    flow = component.load().from_config(component.config(), Sizes(fps=25, style=style, context=context))
    for parameter in flow.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return flow


def test_all_first_party_flows_are_registered():
    own = {component.name for component in FLOWS if component.distribution == "vast-avatar"}
    assert own >= {"none", "householder", "planar", "radial", "sylvester", "iaf", "coupling", "spline"}


@pytest.mark.parametrize(
    "case", [case for flow in FLOWS for case in conformance(f"flow/{flow.distribution}/{flow.name}")]
)
def test_flow_conforms(case):
    case()


@pytest.mark.parametrize(("component", "options"), list(variants()))
def test_flow_conforms_in_every_form(component, options):
    outcomes = check(Subject.of(component, component.config(**options)))
    assert {outcome.rule.name: outcome.detail for outcome in outcomes if outcome.state == "broken"} == {}


@each_flow
def test_in_one_dimension_log_det_is_the_slope(component):
    flow = moved(component, style=1, context=3).double()
    z, h = torch.linspace(-3, 3, 31).double()[:, None].requires_grad_(), torch.randn(31, 3).double()
    output = flow(z, h)
    (slope,) = torch.autograd.grad(output.z.sum(), z)
    torch.testing.assert_close(output.log_det, slope[:, 0].abs().log())
    torch.testing.assert_close(flow.inverse(output.z, h), z, atol=1e-8, rtol=0)


@each_flow
def test_lower_precision_does_not_reach_the_determinant(component):
    flow = moved(component, style=8, context=5)
    z, h = torch.randn(4, 8).bfloat16(), torch.randn(4, 5).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        narrow = flow(z, h)
    wide = flow(z.float(), h.float())
    assert narrow.log_det.dtype == narrow.z.dtype == torch.float32
    torch.testing.assert_close(narrow.log_det, wide.log_det, atol=1e-6, rtol=0)
    torch.testing.assert_close(narrow.z, wide.z)
