"""The radial flow: what its geometry demands, its closed-form inverse, and its extremes."""

import math

import pytest
import torch
from scipy.optimize import brentq

from vast_flows.radial import RadialFlow

Z, H = 6, 5


def radial(centre, log_alpha, beta, dtype=torch.float64):
    """One radial map with these parameters, whatever the context."""
    flow = RadialFlow(len(centre), H, 1).to(dtype)
    torch.nn.init.zeros_(flow.amortised.weight)
    flow.amortised.bias.data = torch.tensor([*centre, log_alpha, beta], dtype=dtype)
    return flow


def scattered(steps, scale=0.8):
    torch.manual_seed(0)
    flow = RadialFlow(Z, H, steps).double()
    for parameter in flow.parameters():
        parameter.data.normal_(0, scale)
    return flow


def test_the_map_is_symmetric_about_its_centre():
    torch.manual_seed(0)
    centre = torch.randn(Z).double()
    flow, h = radial(centre.tolist(), 0.3, 1.2), torch.zeros(20, H).double()
    rotation = torch.linalg.qr(torch.randn(Z, Z).double()).Q
    z = torch.randn(20, Z).double()
    turned, straight = flow(centre + (z - centre) @ rotation, h), flow(z, h)
    torch.testing.assert_close(turned.z, centre + (straight.z - centre) @ rotation)
    torch.testing.assert_close(turned.log_det, straight.log_det)
    torch.testing.assert_close(flow(centre[None], h[:1]).z[0], centre)


@pytest.mark.parametrize("beta", [-3.0, 0.0, 4.0])
def test_far_away_it_is_a_translation_and_at_the_centre_a_scaling(beta):
    """r' - r tends to beta_hat, and z' = (1 + beta_hat / alpha) z near the centre."""
    flow, h = radial([0.0] * Z, 0.5, beta), torch.zeros(1, H).double()
    alpha = math.exp(0.5)
    strength = math.log1p(math.exp(beta)) - 1 + 1e-3
    direction = torch.nn.functional.normalize(torch.ones(1, Z).double())
    far = flow(1e8 * direction, h)
    assert (far.z.norm() - 1e8).item() == pytest.approx(alpha * strength, abs=1e-6)
    assert far.log_det.item() == pytest.approx(0, abs=1e-6)
    near = flow(1e-9 * direction, h)
    torch.testing.assert_close(near.z, (1 + strength) * 1e-9 * direction, atol=1e-16, rtol=0)
    assert near.log_det.item() == pytest.approx(Z * math.log1p(strength), abs=1e-6)


@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_inverse_is_closed_form(steps, scale):
    flow = scattered(steps, scale)
    z, h = 3 * torch.randn(500, Z).double(), torch.randn(500, H).double()
    torch.testing.assert_close(flow.inverse(flow(z, h).z, h), z, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("log_alpha", [-6.0, 0.0, 6.0])
@pytest.mark.parametrize("beta", [-8.0, 0.0, 5.0])
def test_inverse_is_the_root_that_scipy_finds(log_alpha, beta):
    """Of the paper's r' = r + beta_hat r / (alpha + r), between 0 and a distance that is surely beyond."""
    flow, h = radial([0.0], log_alpha, beta), torch.zeros(1, H).double()
    alpha = math.exp(log_alpha)
    beta_hat = alpha * (math.log1p(math.exp(beta)) - 1 + 1e-3)
    for reached in (1e-3, 0.5, 7.0, 1e3):
        expected = brentq(
            lambda r, reached=reached: r + beta_hat * r / (alpha + r) - reached,
            0,
            reached * 1e4 + alpha,
            xtol=1e-300,
            rtol=1e-15,
        )
        assert flow.inverse(torch.tensor([[reached]], dtype=torch.float64), h).item() == pytest.approx(
            expected, rel=1e-11
        )


@pytest.mark.parametrize("log_alpha", [-1e4, -80.0, 0.0, 80.0, 1e4])
@pytest.mark.parametrize("beta", [-1e4, 0.0, 1e4])
def test_extremes_are_finite_in_float32_and_so_are_their_gradients(log_alpha, beta):
    flow = radial([0.0] * Z, log_alpha, beta, torch.float32)
    codes = torch.cat([torch.zeros(1, Z), 1e-20 * torch.ones(1, Z), torch.randn(8, Z), 1e4 * torch.randn(8, Z)])
    z, h = codes.requires_grad_(), torch.randn(len(codes), H)
    output = flow(z, h)
    back = flow.inverse(output.z, h)
    (output.z.sum() + output.log_det.sum() + back.sum()).backward()
    found = (output.z, output.log_det, back, z.grad, *(parameter.grad for parameter in flow.parameters()))
    assert all(tensor.isfinite().all() for tensor in found)
    torch.testing.assert_close(back, codes, atol=1e-4, rtol=3e-3)


def test_it_never_turns_the_space_inside_out():
    flow = scattered(1, scale=3.0).float()
    z, h = 3 * torch.randn(4_000, Z), torch.randn(4_000, H)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda x, c: flow(x[None], c[None]).z[0]))(z, h)
    assert (torch.linalg.slogdet(jacobians).sign > 0).all()


def test_one_dimension_has_no_way_across():
    flow, h = radial([0.4], -0.2, 1.0), torch.zeros(7, H).double()
    z = torch.linspace(-2, 2, 7).double()[:, None].requires_grad_()
    output = flow(z, h)
    (slope,) = torch.autograd.grad(output.z.sum(), z)
    torch.testing.assert_close(output.log_det, slope[:, 0].log())
