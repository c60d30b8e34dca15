"""What must hold of a posterior that went through a flow, whichever way it is computed.

An orthogonal flow keeps determinant, eigenvalues and KL. With any other, the density of zK is that of z0 over |det|: it
integrates to 1, its KL by integration is the sampled one, and the mistakes that others shipped are far from it.
"""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vast_core.interfaces import Posterior
from vast_flows.householder import HouseholderFlow
from vast_flows.planar import PlanarFlow
from vast_flows.radial import RadialFlow

Z, H = 8, 5
COUNT = 200_000

each_form = pytest.mark.parametrize("form", ["chain", "compact"])


def scattered(flow, scale):
    torch.manual_seed(3)
    for parameter in flow.double().parameters():
        parameter.data.normal_(0, scale)
    return flow


def matrix(flow, h):
    """H_K ... H_1 at context ``h`` (1, H), by autograd."""
    return torch.autograd.functional.jacobian(
        lambda z: flow(z[None], h).z[0], torch.zeros(flow.first.out_features).double()
    )


def gaussian(width, seed=1):
    generator = torch.Generator().manual_seed(seed)
    mean, log_std, context = (torch.randn(1, w, generator=generator).double() for w in (width, width, H))
    return Posterior(0.7 * mean, 0.4 * log_std - 0.4, context)


def sample(q, flow, count=COUNT):
    """z0, and what the flow makes of it."""
    z0 = q.sample(torch.randn(count, q.mean.shape[1]).double())
    with torch.no_grad():
        return z0, flow(z0, q.context.expand(count, -1))


def prior(z):
    return Normal(0.0, 1.0).log_prob(z).sum(-1)


def close(terms, expected, errors=4):
    """Whether the mean of ``terms`` is ``expected``, within so many of its standard errors."""
    return abs(terms.mean() - expected) < errors * terms.std() / math.sqrt(len(terms))


# ------------------------------------------------------------------------------------------ orthogonal


@each_form
@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_householder_is_the_product_of_its_matrices(steps, form):
    flow = scattered(HouseholderFlow(Z, H, steps, form), 0.5)
    z, h = torch.randn(3, Z).double(), torch.randn(3, H).double()
    for row in range(3):
        v, product = h[row], torch.eye(Z).double()
        for layer in [flow.first, *flow.following]:  # v_1 = Linear(h), v_(t+1) = Linear(v_t)
            v = layer.weight @ v + layer.bias
            product = (torch.eye(Z) - 2 * torch.outer(v, v) / (v @ v)) @ product
        torch.testing.assert_close(flow(z, h).z[row], product @ z[row])
        torch.testing.assert_close(matrix(flow, h[row : row + 1]), product)
        assert torch.linalg.det(product).item() == pytest.approx((-1) ** steps)


@each_form
@pytest.mark.parametrize("steps", [1, 2, 7, 8])
def test_determinant_of_householder_is_minus_one_to_the_k(steps, form):
    flow = scattered(HouseholderFlow(Z, H, steps, form), 0.5)
    for h in torch.randn(5, 1, H).double():
        assert torch.linalg.det(matrix(flow, h)).item() == pytest.approx((-1) ** steps, abs=1e-12)


@each_form
def test_householder_keeps_the_eigenvalues_and_fills_the_covariance(form):
    flow, q = scattered(HouseholderFlow(Z, H, 6, form), 0.5), gaussian(Z)
    rotation, variances = matrix(flow, q.context), (2 * q.log_std[0]).exp()
    covariance = rotation @ variances.diag() @ rotation.T
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance), variances.sort().values)
    assert (covariance - covariance.diagonal().diag()).abs().max() > 0.1
    _, output = sample(q, flow)
    torch.testing.assert_close(output.z.T.cov(), covariance, atol=0.02, rtol=0)
    torch.testing.assert_close(output.z.mean(0), rotation @ q.mean[0], atol=0.01, rtol=0)


@each_form
@pytest.mark.parametrize("steps", [1, 4, 11])
def test_householder_keeps_the_kl(steps, form):
    """KL(z_K) of the full Gaussian, in closed form and by Monte Carlo of its own density, is KL(z_0)."""
    flow, q = scattered(HouseholderFlow(Z, H, steps, form), 0.5), gaussian(Z)
    before = kl_divergence(Normal(q.mean, q.log_std.exp()), Normal(0.0, 1.0)).sum()
    rotation = matrix(flow, q.context)
    full = MultivariateNormal(rotation @ q.mean[0], rotation @ (2 * q.log_std[0]).exp().diag() @ rotation.T)
    standard = MultivariateNormal(torch.zeros(Z).double(), torch.eye(Z).double())
    torch.testing.assert_close(kl_divergence(full, standard), before)

    z0, output = sample(q, flow)
    density = q.log_prob(z0) - output.log_det
    torch.testing.assert_close(density, full.log_prob(output.z))
    assert close(full.log_prob(output.z) - prior(output.z), before)


def test_a_chain_that_ignores_the_prompt_is_a_no_op_before_a_linear_layer():
    flow = scattered(HouseholderFlow(Z, H, 4), 0.5)
    torch.nn.init.zeros_(flow.first.weight)
    z, h = torch.randn(9, Z).double(), torch.randn(9, H).double()
    layer = torch.nn.Linear(Z, 3).double()
    torch.testing.assert_close(layer(flow(z, h).z), z @ (layer.weight @ matrix(flow, h[:1])).T + layer.bias)


# ----------------------------------------------------------------------------------------- all others


class Integrated:
    """The density of zK in two dimensions, on a grid, by the flow's inverse; sums approximate integrals."""

    def __init__(self, flow, q, reach=9.0, points=500):
        axis = torch.linspace(-reach, reach, points).double()
        self.cell = (axis[1] - axis[0]) ** 2
        self.z = torch.cartesian_prod(axis, axis)
        h = q.context.expand(len(self.z), -1)
        with torch.no_grad():
            z0 = flow.inverse(self.z, h)
            self.log_density = q.log_prob(z0) - flow(z0, h).log_det

    def integral(self, terms):
        return (self.log_density.exp() * terms).sum() * self.cell


@pytest.fixture(scope="module", params=[(PlanarFlow, 0.4), (RadialFlow, 1.0)], ids=["planar", "radial"])
def bent(request):
    """A flow that bends a Gaussian a good deal, that Gaussian, and the density of what comes out."""
    make, scale = request.param
    flow, q = scattered(make(2, H, 4), scale), gaussian(2)
    return flow, q, Integrated(flow, q)


def test_density_integrates_to_one(bent):
    _, _, density = bent
    assert density.integral(1.0).item() == pytest.approx(1.0, abs=1e-3)


def test_moments_of_the_density_are_those_of_the_samples(bent):
    flow, q, density = bent
    _, output = sample(q, flow)
    for axis in range(2):
        for power in (1, 2):
            assert close(output.z[:, axis] ** power, density.integral(density.z[:, axis] ** power), errors=5)


def test_the_sampled_kl_is_that_of_the_density_and_the_known_bugs_are_not(bent):
    flow, q, density = bent
    expected = density.integral(density.log_density - prior(density.z))
    z0, output = sample(q, flow)
    right = q.log_prob(z0) - output.log_det - prior(output.z)
    assert close(right, expected, errors=5)

    wrong = {
        "the sign of ln|det|": q.log_prob(z0) + output.log_det - prior(output.z),
        "no ln|det|": q.log_prob(z0) - prior(output.z),
        "p(z0) where p(zK) belongs": q.log_prob(z0) - output.log_det - prior(z0),
        "ln|det| as its mean over the batch": q.log_prob(z0) - output.log_det.sum() - prior(output.z),
    }
    for name, terms in wrong.items():
        assert not close(terms, expected, errors=20), name
    closed = kl_divergence(Normal(q.mean, q.log_std.exp()), Normal(0.0, 1.0)).sum()
    assert not close(right, closed, errors=20), "the closed form, with a flow that is not orthogonal"


def given_by_its_context(style):
    """One planar map whose context (B, 2 Z + 1) is u, w and b."""
    flow = PlanarFlow(style, 2 * style + 1, 1)
    torch.nn.init.eye_(flow.amortised.weight)
    torch.nn.init.zeros_(flow.amortised.bias)
    return flow


def test_log_det_is_right_on_both_sides_of_the_bend():
    """Where the activation is negative too: a planar map in one dimension, against its own slope."""
    flow = given_by_its_context(1).double()
    z = torch.linspace(-4, 4, 101).double()[:, None].requires_grad_()
    output = flow(z, torch.tensor([[1.3, 0.8, 0.1]]).double().expand(101, -1))
    (slope,) = torch.autograd.grad(output.z.sum(), z)
    torch.testing.assert_close(output.log_det, slope[:, 0].log())
    assert output.log_det[:40].max() > 0.05  # the bend shows on the side of tanh < 0


def test_planar_with_the_length_of_w_for_its_square_would_fold():
    """Of the same 20,000 draws in float32: one in twelve with |w| for |w|^2, none of ours."""
    torch.manual_seed(0)
    count, width = 20_000, 8
    u, w = torch.randn(count, width), torch.randn(count, width)
    along = (u * w).sum(-1, keepdim=True)
    shift = torch.nn.functional.softplus(along) - 1 - along
    wrong = ((u + shift * w / w.norm(dim=-1, keepdim=True)) * w).sum(-1)
    assert (wrong < -1).float().mean().item() == pytest.approx(1 / 12, abs=0.02)

    flow, h = given_by_its_context(width), torch.cat([u, w, torch.zeros(count, 1)], -1)
    at_the_bend = torch.zeros(count, width)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda z, c: flow(z[None], c[None]).z[0]))(at_the_bend, h)
    assert (torch.linalg.slogdet(jacobians).sign > 0).all()
