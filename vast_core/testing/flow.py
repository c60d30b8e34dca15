"""What every flow must do; a plugin's author runs this over their own."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from safetensors.torch import load, save
from torch import Tensor

from vast_core.interfaces import Flow, FlowOutput

RULES = (
    "type",
    "shape",
    "dtype",
    "deterministic",
    "rows",
    "log_det",
    "bijective",
    "volume",
    "orthogonal",
    "inverse",
    "gradient",
    "context",
    "state",
    "finite",
    "autocast",
)
"""Every rule, in the order in which they are checked."""


class Nonconforming(AssertionError):
    """A component breaks its interface's contract; the message starts with the rule in brackets."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"[{rule}] {detail}")
        self.rule = rule


def check_flow(make: Callable[[], Flow], *, style: int = 6, context: int = 5, batch: int = 4) -> None:
    """Hold a flow to :class:`vast_core.interfaces.Flow`; autograd's Jacobian in float64 is the judge.

    Args:
        make: gives a new flow for codes of width ``style`` and contexts of width ``context``.
        style: Z, at least 2.
        context: H.
        batch: B, at least 2.

    Raises:
        Nonconforming: at the first rule broken; the rules are :data:`RULES`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = make()
        _require(isinstance(flow, Flow), "type", f"{type(flow).__name__} is no vast_core.interfaces.Flow")
        for parameter in flow.parameters():  # away from the identity, where a wrong log_det does not show
            parameter.data.normal_(0, 0.5)
        flow.double().eval()
        z, h = (torch.randn(batch, width, dtype=torch.float64) for width in (style, context))
        _check_map(flow, z, h)
        _check_training(flow, z, h)
        _check_state(flow, make().double(), z, h)
        _check_narrow(flow.float(), z, h)


def _check_map(flow: Flow, z: Tensor, h: Tensor) -> None:
    output = flow(z, h)
    _require(isinstance(output, FlowOutput), "type", f"gives {type(output).__name__}, no FlowOutput")
    _check_shape(output, z)
    types = {output.z.dtype, output.log_det.dtype}
    _require(types == {torch.float64}, "dtype", f"float64 in, {sorted(map(str, types))} out")
    again = flow(z, h)
    same = torch.equal(output.z, again.z) and torch.equal(output.log_det, again.log_det)
    _require(same, "deterministic", "two calls in eval() differ")

    jacobian = torch.func.jacrev(lambda x: flow(x, h).z)(z)  # (B, Z, B, Z)
    blocks = torch.stack([jacobian[row, :, row] for row in range(len(z))])
    for row in range(len(z)):
        others = [other for other in range(len(z)) if other != row]
        _require(not jacobian[row][:, others].any(), "rows", f"row {row} of z_K depends on other rows of z_0")
    alone = torch.cat([flow(z[row : row + 1], h[row : row + 1]).log_det for row in range(len(z))])
    _require(torch.allclose(alone, output.log_det, atol=1e-9), "rows", "log_det of a row alone and in a batch differ")
    expected = torch.linalg.slogdet(blocks).logabsdet
    for row, (found, true) in enumerate(zip(output.log_det.tolist(), expected.tolist(), strict=True)):
        close = math.isclose(found, true, rel_tol=1e-6, abs_tol=1e-8)
        _require(close, "log_det", f"row {row}: {found:.6f}, where autograd's Jacobian gives {true:.6f}")

    _check_bijective(flow, z, h)
    if flow.volume_preserving:
        _require(not output.log_det.any(), "volume", "volume_preserving is set, yet log_det is not exactly 0")
    if flow.orthogonal:
        _require(flow.volume_preserving, "orthogonal", "orthogonal is set and volume_preserving is not")
        eye = torch.eye(z.shape[-1], dtype=z.dtype)
        off = (blocks @ blocks.mT - eye).abs().max().item()
        _require(off < 1e-8, "orthogonal", f"orthogonal is set, yet J J^T is off the identity by {off:.1e}")
        off = flow(torch.zeros_like(z), h).z.abs().max().item()
        _require(
            off < 1e-8, "orthogonal", f"orthogonal is set, yet 0 goes to a point {off:.1e} away (it must be linear)"
        )
    inverse = getattr(flow, "inverse", None)
    if inverse is not None:
        off = (inverse(output.z, h) - z).abs().max().item()
        _require(off < 1e-6, "inverse", f"inverse of the flow is off by {off:.1e}")


def _check_bijective(flow: Flow, z: Tensor, h: Tensor) -> None:
    """A bijection's determinant never changes its sign; that of a planar map without u_hat does."""
    contexts, probes, width = 64, 64, z.shape[-1]
    near, far = torch.logspace(-2, 1, probes, dtype=z.dtype), torch.logspace(-1, 0.7, contexts, dtype=z.dtype)
    codes = (near[:, None] * torch.randn(contexts, probes, width, dtype=z.dtype)).flatten(0, 1).requires_grad_()
    given = (far[:, None] * torch.randn(contexts, h.shape[-1], dtype=z.dtype)).repeat_interleave(probes, 0)
    moved = flow(codes, given).z  # rows are independent, so a column's sum over the batch has each row's gradient
    rows = [torch.autograd.grad(moved[:, column].sum(), codes, retain_graph=True)[0] for column in range(width)]
    signs = torch.linalg.slogdet(torch.stack(rows, 1)).sign.view(contexts, probes)
    changes = int((signs != signs[:, :1]).any(-1).sum())
    _require(changes == 0, "bijective", f"det J changes its sign over z, for {changes} of {contexts} contexts")


def _check_narrow(flow: Flow, z: Tensor, h: Tensor) -> None:
    """Extremes in float32, and bfloat16 autocast."""
    z, h = (torch.randn(256, tensor.shape[-1]) for tensor in (z, h))
    for scale in (0.0, 1e-20, 1e4):
        given = (h * scale).requires_grad_()
        code = z.clone().requires_grad_()
        output = flow(code, given)
        (output.z.sum() + output.log_det.sum()).backward()
        gradients = [tensor.grad for tensor in (code, given, *flow.parameters()) if tensor.grad is not None]
        finite = all(bool(tensor.isfinite().all()) for tensor in (output.z, output.log_det, *gradients))
        _require(finite, "finite", f"z_K, log_det or a gradient is not finite at a context of scale {scale:g}")
    flow.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = flow(z.bfloat16(), h.bfloat16())
    wide = output.log_det.dtype == torch.float32
    _require(wide, "autocast", f"log_det is {output.log_det.dtype} under bfloat16 autocast; it must be float32")


def _check_training(flow: Flow, z: Tensor, h: Tensor) -> None:
    flow.train()
    output = flow(z, h)
    parameters = dict(flow.named_parameters())
    if not parameters:
        return
    (output.z.square().sum() + output.log_det.sum()).backward()
    dead = [name for name, parameter in parameters.items() if parameter.grad is None]
    _require(not dead, "gradient", f"no gradient reaches {dead}")
    flow.eval()
    ignored = torch.allclose(flow(z, h).z, flow(z, torch.zeros_like(h)).z)
    _require(not ignored, "context", "has parameters, yet z_K does not depend on the context: amortise them")


def _check_state(flow: Flow, other: Flow, z: Tensor, h: Tensor) -> None:
    state = {name: tensor.contiguous() for name, tensor in flow.state_dict().items()}
    other.load_state_dict(load(save(state)), strict=True)
    flow.eval()
    other.eval()
    _require(torch.equal(other(z, h).z, flow(z, h).z), "state", "z_K differs after a round trip through safetensors")


def _check_shape(output: FlowOutput, z: Tensor) -> None:
    _require(output.z.shape == z.shape, "shape", f"z_K is {tuple(output.z.shape)}, expected {tuple(z.shape)}")
    shape = tuple(output.log_det.shape)
    _require(shape == (len(z),), "shape", f"log_det is {shape}, expected {(len(z),)}")


def _require(satisfied: bool, rule: str, detail: str) -> None:
    if not satisfied:
        raise Nonconforming(rule, detail)
