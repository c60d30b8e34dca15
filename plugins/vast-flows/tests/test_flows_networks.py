"""The flows made of matrices and networks against their papers' equations, other libraries and extremes."""

import pytest
import torch
from torch import nn

from vast_core.errors import InputError
from vast_core.interfaces import Sizes
from vast_flows.config import CouplingConfig, IAFConfig, SylvesterConfig
from vast_flows.coupling import CouplingFlow
from vast_flows.frames import HouseholderFrames, orthonormalised
from vast_flows.iaf import OPEN, InverseAutoregressiveFlow
from vast_flows.networks import ConditionalNetwork
from vast_flows.sylvester import LIMIT, SylvesterFlow

B, Z, H = 12, 6, 5
VARIANTS = ("orthogonal", "householder", "triangular")
TIGHT = {"atol": 1e-10, "rtol": 1e-10}
ORACLES = "pip install 'vast-avatar[oracles]'"


def made(flow, config, style=Z):
    """In float64, its weights moved far enough from the start to tell one map from another."""
    torch.manual_seed(0)
    flow = flow.from_config(config, Sizes(fps=25, style=style, context=H)).double()
    for parameter in flow.parameters():
        parameter.data.add_(0.4 * torch.randn_like(parameter))
    return flow


def data(style=Z, batch=B):
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(batch, width, generator=generator).double() for width in (style, H))


def jacobian(flow, z, h):
    return torch.func.vmap(torch.func.jacrev(lambda x, c: flow(x[None], c[None]).z[0]))(z, h)


# ------------------------------------------------------------------------------------------ sylvester


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1.0, 1e4, 1e30])
def test_orthonormalised_is_the_polar_factor(scale):
    torch.manual_seed(0)
    matrices = torch.randn(20, 8, 5).double()
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    torch.testing.assert_close(orthonormalised(scale * matrices), left @ right, **TIGHT)
    narrow = orthonormalised((scale * matrices).float())
    torch.testing.assert_close(narrow.mT @ narrow, torch.eye(5).expand(20, 5, 5), atol=2e-6, rtol=0)


@pytest.mark.parametrize("condition", [10.0, 1e3, 1e4, 1e6, 1e12, float("inf")])
def test_frames_are_orthonormal_however_dependent_the_columns(condition):
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(50, 8, 8).double())
    values = torch.logspace(0, -1, 8).double().repeat(50, 1)
    values[:, -1] = 1 / condition
    matrices = (left @ torch.diag_embed(values) @ right).requires_grad_()
    frames = orthonormalised(matrices)
    torch.testing.assert_close(frames.mT @ frames, torch.eye(8).double().expand(50, 8, 8), atol=1e-13, rtol=0)
    frames[:, 0].sum().backward()
    assert matrices.grad.isfinite().all()


def test_a_matrix_of_zeros_has_a_frame_and_a_gradient():
    matrices = torch.zeros(2, 4, 3, requires_grad=True)
    frames = orthonormalised(matrices)
    torch.testing.assert_close(frames, torch.eye(4, 3).expand(2, 4, 3))
    frames.sum().backward()
    assert matrices.grad.isfinite().all()


def test_frames_of_reflections_are_their_product():
    torch.manual_seed(0)
    frames = HouseholderFrames(Z, H, 2, 3).double()
    h = torch.randn(1, H).double()
    mirrors = frames.amortised(h).view(2, 3, Z)
    found = frames(h, torch.float64)[0]
    for step in range(2):
        expected = torch.eye(Z).double()
        for v in mirrors[step]:
            expected = expected @ (torch.eye(Z) - 2 * torch.outer(v, v) / (v @ v))
        torch.testing.assert_close(found[step], expected)


def test_triangular_sylvester_turns_its_triangle_round_at_every_second_step():
    z, h = data()
    flow = made(SylvesterFlow, SylvesterConfig(steps=2, variant="triangular"))
    frames = flow.frames(h, torch.float64)
    flow.frames.forward = lambda *_: frames[:, :1]
    flow.amortised.forward, whole = lambda context: whole(context)[:, : Z * (Z + 2)], flow.amortised.forward
    flow.shape = (1, Z, Z + 2)
    assert not jacobian(flow, z, h).tril(-1).any()
    flow.frames.forward = lambda *_: frames[:, 1:]
    assert not jacobian(flow, z, h).triu(1).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_sylvester_is_its_equation(variant):
    flow = made(SylvesterFlow, SylvesterConfig(steps=2, variant=variant))
    z, h = data()
    values = flow.amortised(h).view(B, 2, Z, Z + 2)
    frames = flow.frames(h, torch.float64)
    expected = z.clone()
    for row in range(B):
        for step in range(2):
            square, q = values[row, step, :, :Z], frames[row, step]
            outer, inner = torch.zeros(Z, Z).double(), torch.zeros(Z, Z).double()
            for i in range(Z):
                outer[i, i], inner[i, i] = LIMIT * square[i, i].tanh(), LIMIT * values[row, step, i, Z].tanh()
                for j in range(i + 1, Z):
                    outer[i, j], inner[i, j] = square[i, j], square[j, i]
            bias = values[row, step, :, Z + 1]
            expected[row] = expected[row] + q @ outer @ torch.tanh(inner @ q.T @ expected[row] + bias)
    torch.testing.assert_close(flow(z, h).z, expected, **TIGHT)


def test_sylvester_is_pyros():
    """Where Q is the identity; ours then sees the code from its other end, as Pyro multiplies rows.

    For another Q, what Pyro 1.9.2 computes is z + R^T Q^T tanh(Q S^T z + b), of which its log_det is not ln|det|.
    """
    pyro = pytest.importorskip("pyro.distributions.transforms", reason=ORACLES)
    torch.manual_seed(0)
    theirs = pyro.Sylvester(Z, count_transforms=2).double()
    for parameter in theirs.parameters():
        parameter.data.normal_()
    theirs.u_unnormed.data[1] = theirs.u_unnormed.data[0]
    flow = made(SylvesterFlow, SylvesterConfig(steps=1, variant="triangular"))
    with torch.no_grad():
        outer, inner = (matrix.T.flip(0, 1) for matrix in (theirs.R(), theirs.S()))
        values = torch.zeros(Z, Z + 2).double()
        values[:, :Z] = outer.triu(1) + inner.triu(1).T + torch.diag(torch.atanh(outer.diagonal() / LIMIT))
        values[:, Z] = torch.atanh(inner.diagonal() / LIMIT)
        values[:, Z + 1] = theirs.b.flip(0)
        flow.amortised.weight.zero_()
        flow.amortised.bias.copy_(values.flatten())
    z, h = data()
    moved = theirs(z)
    output = flow(z.flip(-1), h)
    torch.testing.assert_close(output.z.flip(-1), moved, atol=1e-6, rtol=1e-6)  # it makes Q in float32
    torch.testing.assert_close(output.log_det, theirs.log_abs_det_jacobian(z, moved), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("steep", [20.0, -20.0])
def test_sylvester_does_not_fold_where_its_diagonals_saturate(steep):
    flow = SylvesterFlow.from_config(SylvesterConfig(steps=1, variant="triangular"), Sizes(fps=25, style=Z, context=H))
    with torch.no_grad():
        flow.amortised.weight.zero_()
        values = torch.zeros(Z, Z + 2)
        values[:, :Z] = steep * torch.eye(Z)
        values[:, Z] = 20.0
        flow.amortised.bias.copy_(values.flatten())
    expected = Z * torch.log1p(torch.tensor(LIMIT**2 if steep > 0 else -(LIMIT**2)))
    output = flow(torch.zeros(1, Z), torch.zeros(1, H))
    torch.testing.assert_close(output.log_det[0], expected, atol=1e-3, rtol=0)


def test_sylvester_of_a_rank_moves_only_what_its_frame_spans():
    flow = made(SylvesterFlow, SylvesterConfig(steps=1, rank=2))
    z, h = data()
    (frames,) = flow.frames(h, torch.float64).unbind(1)
    moved = flow(z, h).z - z
    torch.testing.assert_close((frames @ (frames.mT @ moved[..., None])).squeeze(-1), moved, **TIGHT)
    assert moved.abs().max() > 0.1


def test_sylvester_needs_no_wider_frame_than_the_code():
    with pytest.raises(InputError, match=r"rank is 7, but the style code has width 6"):
        SylvesterFlow.from_config(SylvesterConfig(rank=7), Sizes(fps=25, style=Z, context=H))


@pytest.mark.parametrize("options", [{"variant": "householder", "rank": 2}, {"reflections": 2}, {"rank": 0}])
def test_sylvester_takes_options_only_where_they_mean_something(options):
    with pytest.raises(ValueError, match=r"rank|reflections"):
        SylvesterConfig(**options)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sylvesters_inverse_has_the_gradient_of_the_true_one(variant):
    flow = made(SylvesterFlow, SylvesterConfig(steps=2, variant=variant))
    z, h = data(batch=3)
    moved = flow(z, h).z.detach()
    found = torch.func.jacrev(lambda x: flow.inverse(x, h))(moved)
    blocks = torch.stack([found[row, :, row] for row in range(3)])
    torch.testing.assert_close(blocks, torch.linalg.inv(jacobian(flow, z, h)), atol=1e-7, rtol=1e-7)


# ------------------------------------------------------------------------------- inverse autoregressive


@pytest.mark.parametrize("hidden", [2, Z, 40])
def test_iafs_jacobian_is_triangular_and_full_below_the_diagonal(hidden):
    flow = made(InverseAutoregressiveFlow, IAFConfig(steps=1, hidden=hidden))
    z, h = data()
    blocks = jacobian(flow, z, h)
    assert not blocks.triu(1).any()
    if hidden >= Z:
        assert (blocks.abs().amax(0) + torch.ones(Z, Z).triu(1) > 1e-6).all(), "some component is not seen"
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    assert ((diagonal > 0) & (diagonal < 1)).all()
    torch.testing.assert_close(flow(z, h).log_det, diagonal.log().sum(-1))


def test_iafs_second_step_goes_the_other_way():
    flow = made(InverseAutoregressiveFlow, IAFConfig(steps=2))
    z, h = data()
    del flow.steps[0]
    assert not jacobian(flow, z, h).tril(-1).any()


@pytest.mark.parametrize("flow", [InverseAutoregressiveFlow, CouplingFlow])
@pytest.mark.parametrize("style", [1, 2, 3])
def test_every_component_reads_the_context(flow, style):
    """nflows' masked network leaves the first component deaf to it."""
    flow = made(flow, IAFConfig() if flow is InverseAutoregressiveFlow else CouplingConfig(), style)
    z, h = data(style)
    slopes = torch.func.jacrev(lambda c: flow(z[:1], c).z)(h[:1])[0, :, 0]
    assert (slopes.abs().amax(-1) > 1e-6).all()


class Bounded(nn.Module):
    """A network of Pyro with the bound that ours puts on the second of its two results."""

    def __init__(self, network, bound):
        super().__init__()
        self.network, self.bound = network, bound
        self.permutation = getattr(network, "permutation", None)
        self.get_permutation = lambda: self.permutation

    def forward(self, x, context):
        shift, scale = self.network(x, context=context)
        return shift, self.bound * torch.tanh(scale / self.bound)


def copied(ours, theirs):
    for layer, other in zip(ours.layers, theirs.layers, strict=True):
        other.double().load_state_dict(layer.state_dict(), strict=False)


def follow(transforms, z):
    log_det = torch.zeros(len(z)).double()
    for transform in transforms:
        before, z = z, transform(z)
        log_det = log_det + transform.log_abs_det_jacobian(before, z)
    return z, log_det


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_iaf_is_pyros_with_pyros_own_masks(steps):
    networks = pytest.importorskip("pyro.nn", reason=ORACLES)
    pyro = pytest.importorskip("pyro.distributions.transforms", reason=ORACLES)
    flow = made(InverseAutoregressiveFlow, IAFConfig(steps=steps, hidden=Z))
    z, h = data()
    chain = []
    for number, ours in enumerate(flow.steps):
        order = torch.arange(Z).flip(0) if number % 2 else torch.arange(Z)
        theirs = networks.ConditionalAutoRegressiveNN(Z, H, [Z, Z], permutation=order, nonlinearity=nn.Tanh())
        copied(ours, theirs)
        for mask in theirs.layers:
            mask.mask = mask.mask.double()
        conditional = pyro.ConditionalAffineAutoregressive(Bounded(theirs, 7.0), stable=True, sigmoid_bias=OPEN)
        chain.append(conditional.condition(h))
    moved, log_det = follow(chain, z)
    output = flow(z, h)
    torch.testing.assert_close(output.z, moved, **TIGHT)
    torch.testing.assert_close(output.log_det, log_det, **TIGHT)


def test_the_masked_network_is_nflows():
    """Without a context, and without the units of degree 0, which nflows has not; its masks are its own."""
    made = pytest.importorskip("nflows.transforms.made", reason=ORACLES)
    torch.manual_seed(0)
    each = 4
    ours = ConditionalNetwork.masked(0, each * Z, range(Z), sets=1).double()
    for parameter in ours.parameters():
        parameter.data.normal_()
    for layer in ours.layers[1:]:
        layer.weight.data[:, :each] = 0  # what units of degree 0 pass on
    theirs = made.MADE(Z, each * (Z - 1), num_blocks=1, use_residual_blocks=False, activation=torch.tanh).double()
    order = torch.cat([torch.arange(each * Z)[each + unit :: each] for unit in range(each)])  # 1, 2, 3 ... 1, 2, 3 ...
    first, second, last = ours.layers
    for layer, other, rows, columns in (
        (first, theirs.initial_layer, order, slice(None)),
        (second, theirs.blocks[0].linear, order, order),
        (last, theirs.final_layer, slice(None), order),
    ):
        other.weight.data = layer.weight.data[rows][:, columns]
        other.bias.data = layer.bias.data[rows]
    z = torch.randn(B, Z).double()
    torch.testing.assert_close(ours(z, torch.zeros(B, 0).double()), theirs(z), **TIGHT)


# ------------------------------------------------------------------------------------------- coupling


@pytest.mark.parametrize("style", [2, 5, 6])
def test_coupling_is_pyros(style):
    networks = pytest.importorskip("pyro.nn", reason=ORACLES)
    pyro = pytest.importorskip("pyro.distributions.transforms", reason=ORACLES)
    flow = made(CouplingFlow, CouplingConfig(steps=2, hidden=7), style)
    z, h = data(style)
    kept = style // 2
    moved, log_det = z, torch.zeros(B).double()
    for number, ours in enumerate(flow.steps):
        theirs = networks.ConditionalDenseNN(kept, H, [7, 7], param_dims=[style - kept] * 2, nonlinearity=nn.Tanh())
        copied(ours, theirs)
        conditional = pyro.ConditionalAffineCoupling(kept, Bounded(theirs, 2.0)).condition(h)
        given = moved.flip(-1) if number % 2 else moved
        (moved, added) = follow([conditional], given)
        moved, log_det = moved.flip(-1) if number % 2 else moved, log_det + added
    output = flow(z, h)
    torch.testing.assert_close(output.z, moved, **TIGHT)
    torch.testing.assert_close(output.log_det, log_det, **TIGHT)


@pytest.mark.parametrize("style", [1, 3, 4])
def test_two_couplings_move_every_component(style):
    z, h = data(style)
    once, twice = (made(CouplingFlow, CouplingConfig(steps=steps), style)(z, h).z - z for steps in (1, 2))
    assert (twice.abs().amin(0) > 0).all()
    assert not once[:, : style // 2].any()


@pytest.mark.parametrize("flow", [InverseAutoregressiveFlow, CouplingFlow])
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_no_context_makes_the_code_grow_without_bound(flow, scale):
    z, h = data()
    flow = made(flow, CouplingConfig() if flow is CouplingFlow else IAFConfig()).float()
    output = flow(z.float(), scale * h.float())
    assert output.z.abs().max() < 1e4
    assert output.log_det.isfinite().all()
