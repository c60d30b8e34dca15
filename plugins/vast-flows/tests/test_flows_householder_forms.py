"""The compact form of the Householder flow against the chain and against LAPACK's reflections."""

import pytest
import torch

from vast_flows.householder import HouseholderFlow

B, Z, H = 32, 12, 5


def both(steps, dtype=torch.float64, style=Z):
    """A chain and a compact flow of the same weights, far from the identity."""
    torch.manual_seed(steps)
    chain = HouseholderFlow(style, H, steps, "chain")
    for parameter in chain.parameters():
        parameter.data.normal_(0, style**-0.5)
    compact = HouseholderFlow(style, H, steps, "compact")
    compact.load_state_dict(chain.state_dict(), strict=True)
    return chain.to(dtype), compact.to(dtype)


def data(dtype=torch.float64, scale=1.0):
    generator = torch.Generator().manual_seed(1)
    z, h = torch.randn(B, Z, generator=generator), torch.randn(B, H, generator=generator)
    return z.to(dtype), scale * h.to(dtype)


def fixed(mirrors, dtype=torch.float64):
    """A compact flow with ``mirrors`` (K, Z) whatever the context."""
    flow = HouseholderFlow(mirrors.shape[1], H, len(mirrors), "compact").to(dtype)
    for layer, mirror in zip([flow.first, *flow.following], mirrors, strict=True):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data = mirror.to(dtype)
    return flow


def relative(found, expected):
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()


each_length = pytest.mark.parametrize("steps", [1, 2, 3, 8, 9, 16, 31])


@each_length
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_same_weights_give_the_same_numbers(steps, scale, dtype, tolerance):
    chain, compact = both(steps, dtype)
    z, h = data(dtype, scale)
    assert relative(compact(z, h).z, chain(z, h).z) < tolerance
    assert relative(compact.inverse(z, h), chain.inverse(z, h)) < tolerance
    assert torch.equal(compact(z, h).log_det, torch.zeros(B, dtype=dtype))


@each_length
def test_same_weights_give_the_same_gradients(steps):
    gradients = []
    for flow in both(steps):
        z, h = (tensor.requires_grad_() for tensor in data())
        (flow(z, h).z * torch.arange(Z)).sum().backward()
        gradients.append([z.grad, h.grad, *(parameter.grad for parameter in flow.parameters())])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_the_gradient_of_the_compact_form_is_right():
    _, compact = both(10, style=3)
    z, h = data()
    given = (z[:2, :3].clone().requires_grad_(), h[:2].clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: compact(a, b).z, given)


@each_length
def test_inverse_of_the_compact_form(steps):
    _, compact = both(steps)
    z, h = data()
    torch.testing.assert_close(compact.inverse(compact(z, h).z, h), z, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 4, 11])
def test_lapacks_reflections_triangulate_their_matrix(count):
    """geqrf leaves the mirrors below the diagonal, with a 1 on it; orgqr multiplies the reflections."""
    torch.manual_seed(0)
    matrix = torch.randn(Z, count).double()
    packed, tau = torch.geqrf(matrix)
    mirrors = packed.tril(-1) + torch.eye(Z, count).double()
    torch.testing.assert_close(tau, 2 / mirrors.square().sum(0))  # or they were no reflections
    flow, h = fixed(mirrors.T), torch.zeros(1, H).double()

    columns = flow(matrix.T, h.expand(count, -1)).z.T
    torch.testing.assert_close(columns[:count], packed[:count].triu(), atol=1e-12, rtol=1e-12)
    assert columns[count:].abs().max() < 1e-12
    product = flow.inverse(torch.eye(count, Z).double(), h.expand(count, -1)).T
    torch.testing.assert_close(product, torch.linalg.householder_product(packed, tau), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("gone", [[0], [3], [8], [0, 1, 2, 3, 4, 5, 6, 7], list(range(10))])
def test_zero_mirrors_drop_out_of_the_product(gone):
    torch.manual_seed(0)
    mirrors = torch.randn(10, Z).double()
    mirrors[gone] = 0
    z, h = data()
    kept = [index for index in range(10) if index not in gone]
    expected = fixed(mirrors[kept])(z, h).z if kept else z
    torch.testing.assert_close(fixed(mirrors)(z, h).z, expected, atol=1e-12, rtol=1e-12)


def test_zero_mirrors_have_a_finite_gradient():
    flow = fixed(torch.zeros(3, Z), torch.float32)
    z, h = (tensor.requires_grad_() for tensor in data(torch.float32))
    flow(z, h).z.sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (z, h, *flow.parameters()))


def test_nearly_parallel_mirrors_cost_no_more_than_a_digit():
    """The worst case of the compact form in float32: it loses less than a digit to the chain, because it takes blocks.

    Means over draws, because the error of one depends on how the processor sums.
    """
    torch.manual_seed(0)
    errors = []
    for _ in range(30):
        mirrors = torch.randn(1, Z) + 0.05 * torch.randn(64, Z)
        z, h = data(torch.float32)
        exact, chain = z.double(), z
        for mirror in mirrors:
            chain = chain - 2 * (chain @ mirror)[:, None] * mirror / mirror.square().sum()
        for mirror in mirrors.double():
            exact = exact - 2 * (exact @ mirror)[:, None] * mirror / mirror.square().sum()
        compact = fixed(mirrors, torch.float32)(z, h).z
        errors.append([relative(compact.double(), exact), relative(chain.double(), exact)])
    compact, chain = torch.tensor(errors).mean(0)
    assert compact < 10 * chain
