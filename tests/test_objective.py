"""The bound of eq. 7 against Monte Carlo, torch.distributions and the three facts about flows."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vast_core.interfaces import Flow, FlowOutput, Posterior, Sizes
from vast_core.registry import Registry
from vast_core.training import beta_at, bound, gaussian_kl, gaussian_log_likelihood, standard_normal_log_prob

Z, H = 4, 3
SIZES = Sizes(fps=25, image=64, audio=4, expression=4, lower_face=2, vertices=3, style=Z, context=H)


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


def make(registry, name, **options):
    torch.manual_seed(0)
    component = registry.get("flow", name)
    flow = component.load().from_config(component.config(**options), SIZES).double()
    for parameter in flow.parameters():
        parameter.data.normal_(0, 0.7)
    return flow


def posterior(batch=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    mean, log_std, context = (
        torch.randn(1, width, generator=generator).double().expand(batch, width) for width in (Z, Z, H)
    )
    return Posterior(mean, 0.5 * log_std - 0.5, context)


def run(flow, q, likelihood=0.0, **options):
    z0 = q.sample(torch.randn(q.mean.shape, dtype=q.mean.dtype))
    given = torch.full((len(z0),), likelihood, dtype=z0.dtype)
    return bound(q, z0, flow(z0, q.context), given, flow=flow, **options)


class Sampled(Flow):
    """Any flow, without its flag of orthogonality, so that its KL is sampled."""

    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    @classmethod
    def from_config(cls, config, sizes):
        raise NotImplementedError

    def forward(self, z, context):
        return self.flow(z, context)


class ClaimsOrthogonal(Sampled):
    orthogonal = True


def test_closed_form_is_that_of_torch_distributions():
    q = posterior()
    expected = kl_divergence(Normal(q.mean, q.log_std.exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl(q), expected)
    torch.testing.assert_close(standard_normal_log_prob(q.mean), Normal(0.0, 1.0).log_prob(q.mean).sum(-1))


@pytest.mark.parametrize("name", ["none", "householder"])
def test_closed_form_of_an_orthogonal_flow_equals_monte_carlo(registry, name):
    flow, count = make(registry, name), 200_000
    closed, sampled = run(flow, posterior()), run(Sampled(flow), posterior(count))
    assert sampled.kl.item() == pytest.approx(closed.kl.item(), abs=4 * 2.0 / math.sqrt(count))
    assert closed.log_det == 0


def test_kl_does_not_change_by_householder(registry):
    """The full Gaussian of zK, KL by torch.distributions, is that of q0 by dimension."""
    flow, q = make(registry, "householder", steps=5), posterior()
    rotation = torch.autograd.functional.jacobian(lambda z: flow(z[None], q.context).z[0], q.mean[0])
    covariance = rotation @ (2 * q.log_std[0]).exp().diag() @ rotation.T
    full = MultivariateNormal(rotation @ q.mean[0], covariance)
    assert (covariance - covariance.diagonal().diag()).abs().max() > 0.05
    expected = kl_divergence(full, MultivariateNormal(torch.zeros(Z).double(), torch.eye(Z).double()))
    torch.testing.assert_close(run(flow, q).kl, expected)
    torch.testing.assert_close(run(flow, q).kl, run(make(registry, "none"), q).kl)


def test_sampled_kl_of_a_planar_flow_equals_numerical_integration():
    """In one dimension: density of zK by change of variables on a grid, KL by the trapezoid rule."""
    component = Registry.discover().get("flow", "planar")
    one = Sizes(fps=25, image=64, audio=4, expression=4, lower_face=2, vertices=3, style=1, context=H)
    torch.manual_seed(2)
    flow = component.load().from_config(component.config(steps=3), one).double()
    for parameter in flow.parameters():
        parameter.data.normal_(0, 1.0)
    mean, log_std = torch.tensor([[0.7]]).double(), torch.tensor([[-0.3]]).double()
    context = torch.randn(1, H).double()
    grid = torch.linspace(-8, 8, 40_001).double()[:, None]
    with torch.no_grad():
        image = flow(grid, context.expand(len(grid), H)).z[:, 0]
    density0 = Normal(mean[0, 0], log_std[0, 0].exp()).log_prob(grid[:, 0]).exp()
    density = density0 / torch.gradient(image, spacing=(grid[:, 0],))[0].abs()
    integrand = density * (density.clamp_min(1e-300).log() - Normal(0.0, 1.0).log_prob(image))
    expected = torch.trapezoid(integrand, image)

    count = 200_000
    q = Posterior(*(t.expand(count, -1) for t in (mean, log_std, context)))
    assert run(flow, q).kl.item() == pytest.approx(expected.item(), abs=0.02)
    assert abs(run(ClaimsOrthogonal(flow), q).kl.item() - expected.item()) > 0.1  # the closed form is wrong


def test_the_known_bug_gives_a_negative_kl():
    """Closed form of q0 minus log_det, as used elsewhere: negative if the flow stretches, which a true KL never is."""

    class Stretch(Flow):
        @classmethod
        def from_config(cls, config, sizes):
            return cls()

        def forward(self, z, context):
            return FlowOutput(3 * z, torch.full((len(z),), z.shape[-1] * math.log(3.0), dtype=z.dtype))

    count = 100_000
    zero = torch.zeros(count, Z).double()
    q = Posterior(zero, zero, zero[:, :H])
    right = run(Stretch(), q)
    wrong = gaussian_kl(q).sum(-1).mean() - right.log_det
    expected = Z * (0.5 * (9 - 1) - math.log(3.0))  # KL(N(0, 9) || N(0, 1)) a dimension
    assert right.kl.item() == pytest.approx(expected, abs=0.1)
    assert wrong < 0


def test_prior_is_taken_at_z_k(registry):
    """One sample of eq. 7, written out with torch.distributions."""
    flow, q = make(registry, "planar"), posterior(3)
    z0 = q.sample(torch.randn(3, Z).double())
    output = flow(z0, q.context)
    likelihood = torch.randn(3).double()
    found = bound(q, z0, output, likelihood, flow=flow, beta=0.3)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda z, c: flow(z[None], c[None]).z[0]))(z0, q.context)
    expected = -likelihood + 0.3 * (
        Normal(q.mean, q.log_std.exp()).log_prob(z0).sum(-1)
        - torch.linalg.slogdet(jacobians).logabsdet
        - Normal(0.0, 1.0).log_prob(output.z).sum(-1)
    )
    torch.testing.assert_close(found.loss, expected.mean())
    torch.testing.assert_close(found.loss, found.reconstruction + 0.3 * found.counted)
    assert set(found.terms) == {"reconstruction", "kl", "kl_counted", "log_det"}


def test_free_bits_by_dimension_stop_the_gradient_of_the_cheap_ones_only(registry):
    mean = torch.tensor([[0.01, 2.0, 0.0, 1.0]]).double().requires_grad_()
    q = Posterior(mean, torch.zeros(1, Z).double(), torch.zeros(1, H).double())
    found = run(make(registry, "none"), q, free_bits=0.1)
    found.loss.backward()
    assert found.counted.item() == pytest.approx(0.1 + 2.0 + 0.1 + 0.5)
    assert found.kl.item() == pytest.approx(0.00005 + 2.0 + 0.5)
    torch.testing.assert_close(mean.grad, torch.tensor([[0.0, 2.0, 0.0, 1.0]]).double())


def test_free_bits_of_a_sampled_kl_are_those_of_all_dimensions(registry):
    flow, q = Sampled(make(registry, "none")), posterior(1_000)
    assert run(flow, q, free_bits=50.0).counted.item() == pytest.approx(Z * 50.0)
    torch.manual_seed(0)
    plain = run(flow, q)
    torch.manual_seed(0)
    torch.testing.assert_close(run(flow, q, free_bits=1e-3).counted, plain.kl)


def test_gradient_reaches_posterior_and_flow(registry):
    flow = make(registry, "planar")
    mean = torch.zeros(2, Z).double().requires_grad_()
    run(flow, Posterior(mean, torch.zeros(2, Z).double(), torch.ones(2, H).double())).loss.backward()
    assert mean.grad.abs().min() > 0
    assert all(parameter.grad.abs().max() > 0 for parameter in flow.parameters())


def test_narrow_inputs_are_widened(registry):
    flow = registry.get("flow", "none").load()()
    z = torch.zeros(2, Z, dtype=torch.bfloat16)
    q = Posterior(z, z, z[:, :H])
    assert bound(q, z, flow(z, q.context), z[:, 0], flow=flow).loss.dtype == torch.float32


def test_log_likelihood_is_the_mean_over_valid_frames():
    prediction, target = torch.randn(2, 5, 3).double(), torch.randn(2, 5, 3).double()
    log_std = torch.tensor([-1.0, 0.0, 0.5]).double()
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    frames = Normal(prediction, log_std.exp()).log_prob(target).sum(-1)
    expected = torch.stack([frames[0].mean(), frames[1][mask[1]].mean()])
    torch.testing.assert_close(gaussian_log_likelihood(prediction, target, mask, log_std), expected)


def test_masked_frames_may_hold_anything():
    prediction = torch.zeros(1, 3, 2, requires_grad=True)
    target = torch.tensor([[[1.0, 1.0], [math.nan, 0.0], [math.inf, 0.0]]])
    mask = torch.tensor([[True, False, False]])
    found = gaussian_log_likelihood(prediction, target, mask, torch.zeros(2))
    found.sum().backward()
    assert found.item() == pytest.approx(-1 - math.log(2 * math.pi), abs=1e-5)
    assert prediction.grad.isfinite().all()
    assert gaussian_log_likelihood(prediction, target, mask & False, torch.zeros(2)).item() == 0


@pytest.mark.parametrize(("step", "expected"), [(0, 0.0), (50, 0.25), (100, 0.5), (900, 0.5)])
def test_warmup_rises_in_a_line_to_beta(step, expected):
    assert beta_at(step, steps=1_000, beta=0.5, warmup=0.1) == pytest.approx(expected)


def test_warmup_may_be_left_out_and_is_checked():
    assert beta_at(0, steps=10, beta=0.5, warmup=0.0) == 0.5
    with pytest.raises(ValueError, match="warmup is 2"):
        beta_at(0, steps=10, beta=0.5, warmup=2)


def test_bad_input_is_named(registry):
    flow, q = make(registry, "none"), posterior(2)
    z0 = q.mean
    with pytest.raises(ValueError, match=r"log_likelihood is \(2, 7\)"):
        bound(q, z0, flow(z0, q.context), torch.zeros(2, 7), flow=flow)
    with pytest.raises(ValueError, match=r"flow_output.log_det is \(\)"):
        bound(q, z0, FlowOutput(z0, torch.zeros(())), torch.zeros(2), flow=flow)
    with pytest.raises(ValueError, match="beta is -1"):
        bound(q, z0, flow(z0, q.context), torch.zeros(2), flow=flow, beta=-1)
