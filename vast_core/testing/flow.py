"""The rules of flows; log_det is compared with autograd's Jacobian in float64."""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor, nn

from ..interfaces import Flow, FlowOutput, Sizes
from .kit import Subject, not_applicable, require, rule
from .probes import device_rules, draws, reached, same_weights, scattered, seeded

BATCH = 8
STRETCH = 2.0
"""Factor by which an untrained flow may stretch or squeeze any direction."""
STEEPEST = 1e6
"""Largest condition number of the Jacobian at which log_det is compared."""
NEWTON = 8
"""Newton steps in the search for a second code with the same image."""


def _flow(subject: Subject, dtype: torch.dtype = torch.float64) -> Flow:
    """A flow with perturbed weights, because an untrained flow may be the identity and hide faults.

    The perturbation is smaller if a long chain would otherwise be too ill-conditioned for a determinant in float64.
    """
    if "strength" not in subject.known:
        subject.known["strength"] = _strength(subject)
    flow: Flow = scattered(subject.make(), strength=subject.known["strength"]).to(dtype)
    return flow


def _strength(subject: Subject) -> float:
    z, h = _inputs(subject.sizes[0])
    for strength in (1.0, 0.5, 0.25):
        flow = scattered(subject.make(), strength=strength).double()
        if float(torch.linalg.cond(_jacobian(flow, z, h)).max()) < STEEPEST:
            return strength
    return 0.125


def _inputs(sizes: Sizes, batch: int = BATCH, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    z, h = draws((batch, sizes.style), (batch, sizes.context), dtype=dtype)
    return z, h


def _move(flow: nn.Module, z: Tensor, h: Tensor) -> FlowOutput:
    """The flow's output; NotApplicable if its form is wrong, which the rule ``shapes`` reports."""
    output = seeded(lambda: flow(z, h))
    if wrong := _misshapen(output, z):
        not_applicable(f"see `shapes`: {wrong}")
    return output  # type: ignore[no-any-return]


def _misshapen(output: object, z: Tensor) -> str:
    if not isinstance(output, FlowOutput):
        return f"it gives {type(output).__name__}, not FlowOutput"
    if output.z.shape != z.shape:
        return f"z_K is {tuple(output.z.shape)} for codes of {tuple(z.shape)}"
    if output.log_det.shape != z.shape[:1]:
        return f"log_det is {tuple(output.log_det.shape)} for {len(z)} codes, expected {(len(z),)}"
    return ""


def _jacobian(flow: Flow, z: Tensor, h: Tensor) -> Tensor:
    """d z_K / d z_0 (B, Z, Z). Rows are independent, so the gradient of a column's sum has the gradient of each."""
    z = z.detach().requires_grad_()
    moved = _move(flow, z, h).z
    if not moved.requires_grad:
        return torch.zeros(*z.shape, z.shape[-1], dtype=z.dtype)
    rows = [torch.autograd.grad(column.sum(), z, retain_graph=True)[0] for column in moved.unbind(-1)]
    return torch.stack(rows, 1)


# -------------------------------------------------------------------------------------------- its form


@rule("flow")
def shapes(subject: Subject) -> None:
    """z_K is (B, Z) and log_det (B,), for several widths, odd ones included, and batch sizes."""
    for sizes in (*subject.sizes, attrs.evolve(subject.sizes[0], style=7)):
        flow = subject.make(sizes).eval()
        for batch in (1, 3):
            z, h = _inputs(sizes, batch, torch.float32)
            try:
                output = flow(z, h)
            except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
                require(False, f"it fails with {sizes}: {type(error).__name__}: {error}")
            wrong = _misshapen(output, z)
            require(not wrong, f"with {sizes}, {wrong}")


@rule("flow")
def dtype(subject: Subject) -> None:
    """Float32 input gives float32 output, float64 input float64 output."""
    for given in (torch.float32, torch.float64):
        output = _move(_flow(subject, given), *_inputs(subject.sizes[0], dtype=given))
        types = {"z_K": output.z.dtype, "log_det": output.log_det.dtype}
        wrong = ", ".join(f"{name} {found}" for name, found in types.items() if found != given)
        require(not wrong, f"{given} input gives {wrong}")


@rule("flow")
def autocast(subject: Subject) -> None:
    """Under bfloat16 autocast, log_det is float32, because bfloat16 is too coarse for it."""
    flow, (z, h) = _flow(subject, torch.float32), _inputs(subject.sizes[0], dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        output = _move(flow, z, h)
    require(output.log_det.dtype == torch.float32, f"log_det is {output.log_det.dtype} under bfloat16 autocast")
    require(bool(output.log_det.isfinite().all()), "log_det is not finite under bfloat16 autocast")


def _on(subject: Subject, flow: nn.Module, device: torch.device) -> list[Tensor]:
    sizes = subject.sizes[0]
    z, h = (torch.zeros(3, width, device=device) for width in (sizes.style, sizes.context))
    output = _move(flow, z, h)
    return [output.z, output.log_det]


device_rules("flow", _on)


@rule("flow")
def repeatable(subject: Subject) -> None:
    """In eval(), two calls with the same code and context give the same result, bit for bit."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    first = _move(flow, z, h)
    second = flow(z, h)  # with another state of the generator
    same = torch.equal(first.z, second.z) and torch.equal(first.log_det, second.log_det)
    require(same, "two calls in eval() differ")


@rule("flow")
def inputs_untouched(subject: Subject) -> None:
    """forward() does not change code or context."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    h = 4 * h
    given = z.clone(), h.clone()
    _move(flow, *given)
    for name, before, after in zip(("the code", "the context"), (z, h), given, strict=True):
        require(torch.equal(before, after), f"forward() changed {name}")


@rule("flow")
def batch_independence(subject: Subject) -> None:
    """A code has the same z_K and log_det alone and in a batch."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    together = _move(flow, z, h)
    for row in range(len(z)):
        alone = _move(flow, z[row : row + 1], h[row : row + 1])
        for name, one, other in (
            ("z_K", alone.z[0], together.z[row]),
            ("log_det", alone.log_det[0], together.log_det[row]),
        ):
            off = float((one - other).detach().abs().max())
            require(
                off <= 1e-6 * (1 + float(one.detach().abs().max())),
                f"{name} of a row differs by {off:.1e} between alone and in a batch",
            )


# -------------------------------------------------------------------------------------------- its mathematics


@rule("flow")
def log_det(subject: Subject) -> None:
    """log_det is ln|det| of autograd's Jacobian, in nats, to 1e-6."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    expected = torch.linalg.slogdet(_jacobian(flow, z, h)).logabsdet
    for row, (found, true) in enumerate(zip(_move(flow, z, h).log_det.tolist(), expected.tolist(), strict=True)):
        close = math.isclose(found, true, rel_tol=1e-6, abs_tol=1e-6)
        require(close, f"row {row}: {found:.6f}, but autograd's Jacobian gives {true:.6f}")


@rule("flow")
def bijective(subject: Subject) -> None:
    """det J has the same sign everywhere, and a search finds no two codes with the same image."""
    flow, sizes = _flow(subject), subject.sizes[0]
    _check_sign(flow, sizes)
    _check_second(flow, sizes)


def _check_sign(flow: Flow, sizes: Sizes, contexts: int = 48, probes: int = 24) -> None:
    """det J of a continuous bijection has one sign everywhere; that of a planar map without u_hat does not."""
    near, far = (
        torch.logspace(-2, 1, probes, dtype=torch.float64),
        torch.logspace(-1, 0.7, contexts, dtype=torch.float64),
    )
    directions, given = draws((contexts, probes, sizes.style), (contexts, sizes.context), dtype=torch.float64)
    codes = (near[:, None] * directions).flatten(0, 1)
    jacobian = _jacobian(flow, codes, (far[:, None] * given).repeat_interleave(probes, 0))
    signs = torch.linalg.slogdet(jacobian).sign.view(contexts, probes)
    changes = int((signs != signs[:, :1]).any(-1).sum())
    require(changes == 0, f"det J changes its sign with z, for {changes} of {contexts} contexts")


def _check_second(flow: Flow, sizes: Sizes, count: int = 64) -> None:
    """Newton's method from a distant start must return to the code itself, or not converge.

    Both codes must be well-conditioned: where a bijection is nearly flat, distant codes have close images.
    """
    z, offset, h = draws((count, sizes.style), (count, sizes.style), (count, sizes.context), dtype=torch.float64)
    target, found = _move(flow, z, h).z.detach(), z + 2 * offset
    eye = 1e-12 * torch.eye(sizes.style, dtype=torch.float64)
    for _ in range(NEWTON):
        jacobian, missed = _jacobian(flow, found, h), target - _move(flow, found, h).z.detach()
        step = torch.linalg.solve(jacobian.mT @ jacobian + eye, (jacobian.mT @ missed[..., None])).squeeze(-1)
        length = step.norm(dim=-1, keepdim=True)
        found = found + step * (2 / length.clamp_min(2))
    missed = (target - _move(flow, found, h).z).norm(dim=-1).detach()
    steep = [torch.linalg.svdvals(_jacobian(flow, codes, h))[:, -1] > 1e-3 for codes in (z, found)]
    second = (missed < 1e-10) & ((found - z).norm(dim=-1) > 1e-2) & steep[0] & steep[1]
    require(not second.any(), f"{int(second.sum())} of {count} codes have the same image as another code")


@rule("flow")
def volume(subject: Subject) -> None:
    """If volume_preserving is set, log_det is exactly 0."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    if not getattr(flow, "volume_preserving", False):
        not_applicable("volume_preserving is not set")
    largest = float(_move(flow, z, h).log_det.detach().abs().max())
    require(largest == 0, f"volume_preserving is set, but log_det is not exactly 0: up to {largest:.1e}")


@rule("flow")
def orthogonal(subject: Subject) -> None:
    """If orthogonal is set, volume_preserving is set, J J^T is the identity and 0 maps to 0."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    if not getattr(flow, "orthogonal", False):
        not_applicable("orthogonal is not set")
    require(bool(getattr(flow, "volume_preserving", False)), "orthogonal is set, but volume_preserving is not")
    blocks = _jacobian(flow, z, h)
    off = float((blocks @ blocks.mT - torch.eye(z.shape[-1], dtype=z.dtype)).abs().max())
    require(off < 1e-8, f"orthogonal is set, but J J^T differs from the identity by {off:.1e}")
    off = float(_move(flow, torch.zeros_like(z), h).z.detach().abs().max())
    require(off < 1e-8, f"orthogonal is set, but 0 maps to a point {off:.1e} away (the map must be linear)")


@rule("flow")
def inverse(subject: Subject) -> None:
    """If there is an inverse(), it maps z_K back to z_0, to 1e-6."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    back = getattr(flow, "inverse", None)
    if back is None:
        not_applicable("there is no inverse()")
    off = float((seeded(lambda: back(_move(flow, z, h).z, h)) - z).detach().abs().max())
    require(off < 1e-6, f"inverse() is off by {off:.1e}")


@rule("flow")
def starts_gently(subject: Subject) -> None:
    """Before training, no direction is stretched or squeezed by more than a factor of 2."""
    flow, (z, h) = subject.make().double().eval(), _inputs(subject.sizes[0], batch=32)
    values = torch.linalg.svdvals(_jacobian(flow, z, h))
    least, most = float(values.min()), float(values.max())
    near = least >= 1 / STRETCH and most <= STRETCH
    require(near, f"before training it scales directions by {least:.2g} to {most:.2g}; start nearer to the identity")


# -------------------------------------------------------------------------------------------- in training


@rule("flow")
def gradients(subject: Subject) -> None:
    """A gradient reaches every parameter."""
    flow, (z, h) = _flow(subject).train(), _inputs(subject.sizes[0])
    output = _move(flow, z, h)
    reached(flow, output.z.square().sum() + output.log_det.sum())


@rule("flow")
def context_used(subject: Subject) -> None:
    """If there are parameters, z_K depends on the context: the decoder could learn a map common to all contexts."""
    flow, (z, h) = _flow(subject), _inputs(subject.sizes[0])
    if not list(flow.parameters()):
        not_applicable("it has no parameters")
    used = not torch.allclose(_move(flow, z, h).z, _move(flow, z, h.roll(1, 0)).z)
    require(used, "there are parameters, but z_K does not depend on the context: amortise them")


@rule("flow")
def finite(subject: Subject) -> None:
    """In float32, z_K, log_det and gradients are finite if codes or contexts are scaled by 0, 1e-20 or 1e4."""
    flow = _flow(subject, torch.float32)
    for name in ("codes", "contexts"):
        for scale in (0.0, 1e-20, 1e4):
            z, h = _inputs(subject.sizes[0], 64, torch.float32)
            z, h = (scale * z, h) if name == "codes" else (z, scale * h)
            z.requires_grad_()
            h.requires_grad_()
            flow.zero_grad(set_to_none=True)
            output = _move(flow, z, h)
            loss = output.z.sum() + output.log_det.sum()
            loss.backward()  # type: ignore[no-untyped-call]
            values = {"z_K": output.z, "log_det": output.log_det, "the gradient of the code": z.grad}
            values |= {"the gradient of the context": h.grad}
            values |= {f"the gradient of {name}": weight.grad for name, weight in flow.named_parameters()}
            wrong = [what for what, value in values.items() if value is not None and not value.isfinite().all()]
            require(not wrong, f"{', '.join(wrong)} not finite at {name} of scale {scale:g}")


@rule("flow")
def weights_tell_all(subject: Subject) -> None:
    """Two components with the same weights give the same output: state_dict() is complete."""

    def call(flow: nn.Module) -> list[Tensor]:
        output = _move(flow, *_inputs(subject.sizes[0], dtype=torch.float32))
        return [output.z, output.log_det]

    same_weights(subject, call)
