"""The flows against their papers' equations, closed forms and extremes."""

import pytest
import torch
from attrs.exceptions import FrozenInstanceError

from vast_core.interfaces import Sizes
from vast_flows.config import HouseholderConfig, NoFlowConfig, PlanarConfig, RadialConfig
from vast_flows.householder import HouseholderFlow
from vast_flows.none import NoFlow
from vast_flows.planar import PlanarFlow
from vast_flows.radial import RadialFlow

Z, H = 8, 5
SIZES = Sizes(fps=25, image=64, audio=4, expression=4, lower_face=2, vertices=3, style=Z, context=H)


def scattered(flow, scale=0.5, seed=0):
    torch.manual_seed(seed)
    for parameter in flow.parameters():
        parameter.data.normal_(0, scale)
    return flow


def jacobian(flow, z, h):
    return torch.func.vmap(torch.func.jacrev(lambda x, c: flow(x[None], c[None]).z[0]))(z, h)


each_form = pytest.mark.parametrize("form", ["chain", "compact"])


@each_form
@pytest.mark.parametrize("steps", [2, 8])
def test_even_chain_of_reflections_starts_as_the_identity(steps, form):
    z, h = torch.randn(16, Z), torch.randn(16, H)
    torch.testing.assert_close(HouseholderFlow(Z, H, steps, form)(z, h).z, z, atol=1e-5, rtol=0)


def test_training_leaves_the_identity():
    flow = HouseholderFlow(Z, H, 4)
    z, h = torch.randn(16, Z), torch.randn(16, H)
    flow(z, h).z[:, 0].sum().backward()
    assert flow.following[0].weight.grad.abs().max() > 1e-3


@pytest.mark.parametrize("make", [PlanarFlow, RadialFlow])
def test_starts_near_the_identity_with_a_gradient(make):
    torch.manual_seed(0)
    flow = make(Z, H, 8)
    z, h = torch.randn(64, Z), torch.randn(64, H)
    output = flow(z, h)
    assert (output.z - z).abs().max() < 0.2
    assert output.log_det.abs().max() < 0.2
    (output.z.square().sum() - output.log_det.sum()).backward()
    assert flow.amortised.weight.grad.abs().max() > 1e-3


@each_form
def test_zero_mirror_reflects_nothing_and_a_tiny_one_reflects_exactly(form):
    flow = HouseholderFlow(Z, H, 1, form)
    torch.nn.init.zeros_(flow.first.bias)
    z, h = torch.randn(4, Z), torch.randn(4, H)
    torch.testing.assert_close(flow(z, torch.zeros(4, H)).z, z, atol=0, rtol=0)
    for scale in (1e-9, 1e4, 1e18, 1e30):
        torch.testing.assert_close(flow(z, h * scale).z, flow(z, h).z)


def test_planar_without_direction_is_a_translation():
    flow = scattered(PlanarFlow(Z, H, 1))
    flow.amortised.weight.data[Z : 2 * Z] = 0
    flow.amortised.bias.data[Z : 2 * Z] = 0
    z, h = torch.randn(4, Z), torch.randn(4, H)
    output = flow(z, h)
    values = flow.amortised(h)
    torch.testing.assert_close(output.z, z + values[:, :Z] * torch.tanh(values[:, -1:]))
    assert not output.log_det.any()


@pytest.mark.parametrize("along", [100.0, -100.0, 1e8, -1e8])
def test_planar_is_finite_where_log_one_plus_exp_overflows(along):
    flow = PlanarFlow(Z, H, 1)
    torch.nn.init.zeros_(flow.amortised.weight)
    torch.nn.init.zeros_(flow.amortised.bias)
    flow.amortised.bias.data[0] = along  # u
    flow.amortised.bias.data[Z] = 1.0  # w
    output = flow(torch.zeros(1, Z), torch.zeros(1, H))
    expected = torch.tensor(max(along, 1e-3)).log()
    torch.testing.assert_close(output.log_det[0], expected, atol=1e-3, rtol=1e-4)


def test_planar_never_folds_in_float32():
    torch.manual_seed(0)
    flow = scattered(PlanarFlow(Z, H, 1), scale=2.0)
    z, h = 3 * torch.randn(4_000, Z), torch.randn(4_000, H)
    assert flow(z, h).log_det.isfinite().all()
    assert (torch.linalg.slogdet(jacobian(flow, z, h)).sign > 0).all()


@pytest.mark.parametrize(("scale", "tolerance"), [(0.3, 1e-9), (1.0, 1e-6)])
def test_planar_inverse_finds_the_way_back(scale, tolerance):
    flow = scattered(PlanarFlow(Z, H, 6).double(), scale)
    z, h = torch.randn(200, Z).double(), torch.randn(200, H).double()
    assert (flow.inverse(flow(z, h).z, h) - z).abs().max() < tolerance


@pytest.mark.parametrize("make", [PlanarFlow, RadialFlow])
def test_inverse_has_the_gradient_of_the_inverse(make):
    """Its Jacobian in the code is the inverse of the map's; in the context, inverse(flow(z, h), h) = z tells it."""
    flow = scattered(make(Z, H, 3).double(), 0.3)
    z, h = torch.randn(5, Z).double(), torch.randn(5, H).double()
    there = jacobian(flow, z, h)
    reached = flow(z, h).z.detach()
    back = torch.func.vmap(torch.func.jacrev(lambda x, c: flow.inverse(x[None], c[None])[0]))(reached, h)
    torch.testing.assert_close(back @ there, torch.eye(Z).double().expand(5, Z, Z), atol=1e-8, rtol=0)
    through = torch.func.vmap(
        torch.func.jacrev(lambda x, c: flow.inverse(flow(x[None], c[None]).z, c[None])[0], argnums=1)
    )
    assert through(z, h).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("flow", "config"),
    [
        (NoFlow, NoFlowConfig()),
        (HouseholderFlow, HouseholderConfig(form="chain")),
        (HouseholderFlow, HouseholderConfig(form="compact")),
        (PlanarFlow, PlanarConfig()),
        (RadialFlow, RadialConfig()),
    ],
)
def test_made_from_its_config_on_the_meta_device(flow, config):
    with torch.device("meta"):
        made = flow.from_config(config, SIZES)
        z, h = torch.empty(3, Z), torch.empty(3, H)
    output = made(z, h)  # outside, where a tensor made on the wrong device is on another one
    back = made.inverse(output.z, h)
    assert output.z.shape == back.shape == (3, Z)
    assert output.log_det.shape == (3,)
    assert {tensor.device.type for tensor in (output.z, output.log_det, back)} == {"meta"}


@pytest.mark.parametrize("config", [HouseholderConfig, PlanarConfig, RadialConfig])
def test_config_is_checked(config):
    with pytest.raises(ValueError, match="steps"):
        config(steps=0)
    with pytest.raises(TypeError):
        config(steps=2.5)
    with pytest.raises(FrozenInstanceError):
        config().steps = 3


def test_form_of_the_householder_flow_is_checked():
    with pytest.raises(ValueError, match="'chain', 'compact'"):
        HouseholderConfig(form="wy")
    assert HouseholderFlow.from_config(HouseholderConfig(form="chain"), SIZES).form == "chain"
