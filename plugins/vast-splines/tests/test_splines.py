"""The spline flow against zuko's own, nflows' splines, and what makes splines fail."""

import subprocess
import sys

import pytest
import torch

from vast_core.interfaces import Sizes
from vast_core.registry import Registry
from vast_core.testing import conformance
from vast_splines.config import SplineConfig

zuko = pytest.importorskip("zuko", reason="pip install 'vast-avatar[splines]'")

from vast_splines.spline import SLOPE, Spline, SplineFlow  # noqa: E402

B, Z, H, BINS, BOUND = 12, 6, 5, 8, 5.0
FORMS = ("autoregressive", "coupling")
each_form = pytest.mark.parametrize("form", FORMS)


def made(style=Z, **options):
    """In float64, its weights moved far enough from the start to bend the splines."""
    torch.manual_seed(0)
    flow = SplineFlow.from_config(SplineConfig(**options), Sizes(fps=25, style=style, context=H)).double()
    for parameter in flow.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    return flow


def data(style=Z, batch=B):
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(batch, width, generator=generator).double() for width in (style, H))


def jacobian(flow, z, h):
    return torch.stack(
        [torch.func.jacrev(lambda x, c: flow(x[None], c[None]).z[0])(*row) for row in zip(z, h, strict=True)]
    )


def parameters(scale, count=20_000, dtype=torch.float64):
    """Unconstrained widths, heights and slopes of splines."""
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(count, n, generator=generator).to(dtype) for n in (BINS, BINS, BINS - 1)]


@pytest.mark.parametrize("case", conformance("flow/spline"))
def test_conforms(case):
    case()


# ---------------------------------------------------------------------------------------- the same weights


@each_form
def test_the_flow_is_zukos(form):
    flow = made(form=form, steps=3)
    theirs = zuko.flows.NSF(
        Z,
        H,
        bins=BINS,
        slope=SLOPE,
        transforms=3,
        passes=2 if form == "coupling" else None,
        hidden_features=(64, 64),
        activation=torch.nn.Tanh,
    ).double()
    for ours, other in zip(flow.steps, theirs.transform.transforms, strict=True):
        other.hyper.load_state_dict(ours.network.state_dict())
    z, h = data()
    moved, log_det = theirs.transform(h).call_and_ladj(z)
    output = flow(z, h)
    torch.testing.assert_close(output.z, moved)
    torch.testing.assert_close(output.log_det, log_det)
    torch.testing.assert_close(flow.inverse(moved, h), theirs.transform(h).inv(moved), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
def test_a_spline_is_nflows(scale):
    """Each library squeezes its parameters in its own way: nflows' are worked out from the knots of zuko's."""
    nflows = pytest.importorskip(
        "nflows.transforms.splines.rational_quadratic", reason="pip install 'vast-avatar[oracles]'"
    )
    spline = Spline(*parameters(scale), bound=BOUND, slope=SLOPE)
    widths, heights = (knots.diff(dim=-1).log() for knots in (spline.horizontal, spline.vertical))
    slopes = spline.derivatives[..., 1:-1]
    unsquashed = slopes + torch.log(-torch.expm1(-slopes))  # softplus gives the slopes
    x = torch.linspace(-6, 6, len(widths)).double()
    least = {"min_bin_width": 0.0, "min_bin_height": 0.0, "min_derivative": 0.0}
    expected, log_slope = nflows.unconstrained_rational_quadratic_spline(
        x, widths, heights, unsquashed, tail_bound=BOUND, **least
    )
    found, log_det = spline.call_and_ladj(x)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(log_det, log_slope, atol=1e-7, rtol=1e-7)
    back, _ = nflows.unconstrained_rational_quadratic_spline(
        expected, widths, heights, unsquashed, inverse=True, tail_bound=BOUND, **least
    )
    torch.testing.assert_close(spline.inv(expected), back, atol=1e-7, rtol=1e-7)


# ------------------------------------------------------------------------------------------- its structure


def test_the_jacobian_is_triangular_with_a_positive_diagonal():
    z, h = data()
    blocks = jacobian(made(steps=1), z, h)
    assert not blocks.triu(1).any()
    assert (blocks.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert (blocks.abs().amax(0) + torch.ones(Z, Z).triu(1) > 1e-6).all(), "some component is not seen"
    flow = made(steps=2)
    del flow.steps[0]
    assert not jacobian(flow, z, h).tril(-1).any()


@pytest.mark.parametrize("style", [1, 2, 5])
def test_of_a_coupling_one_half_sees_the_other(style):
    z, h = data(style)
    blocks = jacobian(made(style, form="coupling", steps=1), z, h).abs().amax(0)
    first = (style + 1) // 2
    expected = torch.eye(style).bool()
    expected[first:, :first] = True
    assert torch.equal(blocks > 1e-9, expected)


@each_form
def test_tails_are_the_identity(form):
    flow = made(form=form, bound=2.0)
    z, h = data()
    far = z.sign() * (2.0 + z.abs())
    output = flow(far, h)
    assert torch.equal(output.z, far)
    assert not output.log_det.any()
    assert torch.equal(flow.inverse(far, h), far)
    assert (flow(z.clamp(-1.9, 1.9), h).z - z.clamp(-1.9, 1.9)).abs().max() > 0.1


def test_a_spline_meets_its_tails():
    spline = Spline(*parameters(2.0), bound=BOUND, slope=SLOPE)
    for end in (-BOUND, BOUND):
        inside = torch.full((20_000,), end * (1 - 1e-12)).double()
        moved, log_slope = spline.call_and_ladj(inside)
        torch.testing.assert_close(moved, inside, atol=1e-9, rtol=0)
        torch.testing.assert_close(log_slope, torch.zeros_like(inside), atol=1e-6, rtol=0)


@each_form
def test_starts_near_the_identity(form):
    torch.manual_seed(0)
    flow = SplineFlow.from_config(SplineConfig(form=form), Sizes(fps=25, style=Z, context=H))
    z, h = torch.randn(64, Z), torch.randn(64, H)
    output = flow(z, h)
    assert (output.z - z).abs().max() < 0.1
    assert output.log_det.abs().max() < 0.1


# ----------------------------------------------------------------------------------------- its extremes


@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4, 1e30])
def test_the_way_back_through_a_steep_spline_has_no_negative_discriminant(scale):
    """zuko's closed form gives NaN in float32 here, the more so at the knots."""
    spline = Spline(*parameters(scale, dtype=torch.float32), bound=BOUND, slope=SLOPE)
    between = torch.linspace(-5.1, 5.1, 20_000)
    for reached in (between, *spline.vertical.unbind(-1)):
        back = spline.inv(reached)
        torch.testing.assert_close(spline(back), reached, atol=5e-3 if scale > 1 else 1e-4, rtol=0)


def test_the_way_back_has_the_gradient_of_the_true_one():
    x = torch.linspace(-5.5, 5.5, 20_000).double()
    shapes = [shape.requires_grad_() for shape in parameters(1.0)]
    spline = Spline(*shapes, bound=BOUND, slope=SLOPE)
    y, log_slope = spline.call_and_ladj(x)
    y = y.detach().requires_grad_()
    back = spline.inv(y)
    (slope,) = torch.autograd.grad(back.sum(), y, retain_graph=True)
    torch.testing.assert_close(slope, torch.exp(-log_slope), atol=1e-8, rtol=1e-8)
    # d S^-1(y; w) / dw = -(dS(x; w) / dw) / S'(x)
    found = torch.autograd.grad(back.sum(), shapes, retain_graph=True)
    forward = torch.autograd.grad((spline(x) * -torch.exp(-log_slope).detach()).sum(), shapes)
    for one, other in zip(found, forward, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=1e-8)


@each_form
@pytest.mark.parametrize("scale", [0.0, 1e4, 1e30])
def test_any_context_gives_a_map_with_an_inverse(form, scale):
    flow = made(form=form).float()
    z, h = (tensor.float() for tensor in data())
    context = (scale * h).requires_grad_()
    output = flow(z, context)
    (output.z.sum() + output.log_det.sum()).backward()
    assert output.log_det.isfinite().all()
    assert context.grad.isfinite().all()
    back = flow.inverse(output.z, context)
    torch.testing.assert_close(flow(back, context).z, output.z, atol=1e-3, rtol=0)


# ---------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options",
    [{"bins": 1}, {"bound": 0}, {"bound": float("inf")}, {"bound": float("nan")}, {"form": "both"}, {"steps": 0}],
)
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SplineConfig(**options)


def test_without_zuko_it_is_listed_and_says_what_to_install():
    code = (
        "import sys; sys.modules['zuko'] = None\n"
        "from vast_core.registry import Registry\n"
        "component = Registry.discover().get('flow', 'spline')\n"
        "try: component.load()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ComponentError flow/spline needs zuko, which cannot be imported")
    assert done.stdout.endswith("; pip install 'vast-avatar[splines]'\n")


def test_its_plugin_imports_no_zuko():
    code = "import sys; from vast_core.registry import Registry; Registry.discover(); print('zuko' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert "spline" in Registry.discover().names("flow")
