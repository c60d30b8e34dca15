"""The flows against those of Pyro, nflows and normflows: the same weights give the same z_K and ln|det|.

Where a library constrains its weights in another way, they are mapped, and the test says how. In all of this `u`, `w`,
`b` and the like are read off our linear layers by hand, so that the amortisation is under test too.
"""

import pytest
import torch
from torch.nn.functional import linear

from vast_flows.householder import HouseholderFlow
from vast_flows.planar import MARGIN as PLANAR_MARGIN
from vast_flows.planar import PlanarFlow
from vast_flows.radial import MARGIN as RADIAL_MARGIN
from vast_flows.radial import RadialFlow

ORACLES = "pip install 'vast-avatar[oracles]'"
nflows = pytest.importorskip("nflows.transforms", reason=ORACLES)
normflows = pytest.importorskip("normflows.flows", reason=ORACLES)
pyro = pytest.importorskip("pyro.distributions.transforms", reason=ORACLES)

B, Z, H = 16, 6, 5
TIGHT = {"atol": 1e-10, "rtol": 1e-10}
LINEAR = {"atol": 1e-7, "rtol": 1e-7}
"""Where a softplus is inverted: torch's is linear above 20, which is off by up to e^-20 = 2e-9 per step."""


def scattered(flow, fixed=False):
    """``flow`` in float64 with weights far from the start; ``fixed`` makes it deaf to the context."""
    torch.manual_seed(0)
    for name, parameter in flow.double().named_parameters():
        parameter.data.normal_(0, 0.8)
        if fixed and name.endswith("weight"):
            parameter.data.zero_()
    return flow


def data():
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(B, width, generator=generator).double() for width in (Z, H))


def agree(output, z, log_det, **tolerances):
    tolerances = tolerances or TIGHT
    torch.testing.assert_close(output.z, z, **tolerances)
    torch.testing.assert_close(output.log_det, log_det, **tolerances)


def follow(transforms, z):
    """z_K and ln|det| of a chain of torch.distributions transforms."""
    log_det = torch.zeros(len(z), dtype=z.dtype)
    for transform in transforms:
        before, z = z, transform(z)
        log_det = log_det + transform.log_abs_det_jacobian(before, z)
    return z, log_det


def always(*values):
    """A network for Pyro's conditional forms that gives what ours gave."""
    return lambda _: values if len(values) > 1 else values[0]


def unsoftplus(y):
    """x where softplus(x) = y."""
    return y + torch.log(-torch.expm1(-y))


# ---------------------------------------------------------------------------------------- householder


def mirrors(flow, h):
    """v_1 = Linear(h), v_(t+1) = Linear(v_t), by the names under which the weights are saved."""
    state = flow.state_dict()
    found = [linear(h, state["first.weight"], state["first.bias"])]
    for step in range(len(flow.following)):
        found.append(linear(found[-1], state[f"following.{step}.weight"], state[f"following.{step}.bias"]))
    return found


each_form = pytest.mark.parametrize("form", ["chain", "compact"])


@each_form
@pytest.mark.parametrize("steps", [1, 2, 5, 6])
def test_householder_is_pyros(form, steps):
    flow = scattered(HouseholderFlow(Z, H, steps, form), fixed=True)
    z, h = data()
    theirs = pyro.Householder(Z, steps).double()
    theirs.u_unnormed.data = torch.stack([v[0] for v in mirrors(flow, h)])
    agree(flow(z, h), *follow([theirs], z))
    torch.testing.assert_close(flow.inverse(z, h), theirs.inv(z), **TIGHT)


@each_form
@pytest.mark.parametrize("steps", [1, 2, 5, 6])
def test_conditional_householder_is_pyros(form, steps):
    flow = scattered(HouseholderFlow(Z, H, steps, form))
    z, h = data()
    given = mirrors(flow, h)
    theirs = pyro.ConditionalHouseholder(Z, always(given[0] if steps == 1 else given), steps).condition(h)
    agree(flow(z, h), *follow([theirs], z))
    torch.testing.assert_close(flow.inverse(z, h), theirs.inv(z), **TIGHT)


@each_form
@pytest.mark.parametrize("steps", [1, 2, 5, 11])  # theirs can be made for K < 2 Z alone
def test_householder_is_that_of_nflows(form, steps):
    flow = scattered(HouseholderFlow(Z, H, steps, form), fixed=True)
    z, h = data()
    theirs = nflows.HouseholderSequence(Z, steps).double()
    theirs.q_vectors.data = torch.stack([v[0] for v in mirrors(flow, h)])
    agree(flow(z, h), *theirs(z))
    torch.testing.assert_close(flow.inverse(z, h), theirs.inverse(z)[0], **TIGHT)


# --------------------------------------------------------------------------------------------- planar


def planar_weights(flow, h):
    """u, w and b of each step, with u as it must be where m(a) = -1 + softplus(a), without our margin.

    Both libraries constrain u by that m, as the paper does. Ours lies higher by the margin, so theirs reaches the same
    w . u_hat from a w . u at which softplus is larger by it: u moves along w, and nothing else changes.
    """
    state = flow.state_dict()
    values = linear(h, state["amortised.weight"], state["amortised.bias"])
    for value in values.chunk(flow.steps, -1):
        u, w, b = value.split((Z, Z, 1), -1)
        along = (u * w).sum(-1, keepdim=True)
        theirs = unsoftplus(torch.nn.functional.softplus(along) + PLANAR_MARGIN)
        yield u + (theirs - along) * w / w.square().sum(-1, keepdim=True), w, b


@pytest.mark.parametrize("steps", [1, 4])
def test_planar_is_pyros(steps):
    flow = scattered(PlanarFlow(Z, H, steps), fixed=True)
    z, h = data()
    chain = []
    for u, w, b in planar_weights(flow, h):
        theirs = pyro.Planar(Z).double()
        theirs.u.data, theirs.w.data, theirs.bias.data = u[0], w[0], b[0]
        chain.append(theirs)
    agree(flow(z, h), *follow(chain, z))


@pytest.mark.parametrize("steps", [1, 4])
def test_conditional_planar_is_pyros(steps):
    flow = scattered(PlanarFlow(Z, H, steps))
    z, h = data()
    chain = [pyro.ConditionalPlanar(always(b, u, w)).condition(h) for u, w, b in planar_weights(flow, h)]
    agree(flow(z, h), *follow(chain, z))


@pytest.mark.parametrize("steps", [1, 4])
def test_planar_is_that_of_normflows(steps):
    flow = scattered(PlanarFlow(Z, H, steps), fixed=True)
    z, h = data()
    reached, log_det = z, torch.zeros(B).double()
    for u, w, b in planar_weights(flow, h):
        reached, more = normflows.Planar((Z,), u=u[:1], w=w[:1], b=b[0])(reached)
        log_det = log_det + more
    agree(flow(z, h), reached, log_det)


# --------------------------------------------------------------------------------------------- radial


def radial_weights(flow, h):
    """c, alpha and softplus(beta) of each step, where beta_hat = -alpha + softplus(beta).

    That is the paper's constraint and that of both libraries; ours is relative to alpha and has a margin, beta_hat =
    alpha (-1 + softplus(beta) + margin), so their softplus(beta) is alpha times ours with the margin.
    """
    state = flow.state_dict()
    values = linear(h, state["amortised.weight"], state["amortised.bias"])
    for value in values.chunk(flow.steps, -1):
        centre, log_alpha, beta = value.split((Z, 1, 1), -1)
        alpha = log_alpha.exp()
        yield centre, alpha, alpha * (torch.nn.functional.softplus(beta) + RADIAL_MARGIN)


@pytest.mark.parametrize("steps", [1, 4])
def test_radial_is_pyros(steps):
    """Pyro's alpha is softplus(alpha'), ours exp(log_alpha)."""
    flow = scattered(RadialFlow(Z, H, steps), fixed=True)
    z, h = data()
    chain = []
    for centre, alpha, raised in radial_weights(flow, h):
        theirs = pyro.Radial(Z).double()
        theirs.x0.data, theirs.alpha_prime.data = centre[0], unsoftplus(alpha[0])
        theirs.beta_prime.data = unsoftplus(raised[0])
        chain.append(theirs)
    agree(flow(z, h), *follow(chain, z), **LINEAR)


@pytest.mark.parametrize("steps", [1, 4])
def test_conditional_radial_is_pyros(steps):
    flow = scattered(RadialFlow(Z, H, steps))
    z, h = data()
    chain = [
        pyro.ConditionalRadial(always(c, unsoftplus(alpha), unsoftplus(raised))).condition(h)
        for c, alpha, raised in radial_weights(flow, h)
    ]
    agree(flow(z, h), *follow(chain, z), **LINEAR)


@pytest.mark.parametrize("steps", [1, 4])
def test_radial_is_that_of_normflows(steps):
    """Their alpha is |alpha'|, ours exp(log_alpha)."""
    flow = scattered(RadialFlow(Z, H, steps), fixed=True)
    z, h = data()
    reached, log_det = z, torch.zeros(B).double()
    for centre, alpha, raised in radial_weights(flow, h):
        theirs = normflows.Radial((Z,), z_0=centre[:1]).double()
        theirs.alpha.data, theirs.beta.data = alpha[0], unsoftplus(raised[0])
        reached, more = theirs(reached)
        log_det = log_det + more
    agree(flow(z, h), reached, log_det, **LINEAR)
