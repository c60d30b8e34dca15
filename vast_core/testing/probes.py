"""Shared by the rules of networks: perturbed weights, seeded calls, other devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..registry.declarations import Kind
from .kit import NotApplicable, Subject, first_line, not_applicable, require, rule

Network = TypeVar("Network", bound=nn.Module)
Result = TypeVar("Result")


def scattered(network: Network, seed: int = 0, strength: float = 1.0) -> Network:
    """``network`` in eval() with all weights perturbed, because initial weights of zero can hide a fault.

    The standard deviation is 1 / sqrt(columns) for a matrix, which keeps the scale of its input, and 0.5 for a vector,
    both times ``strength``.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                scale = strength * (weight[0].numel() ** -0.5 if weight.dim() > 1 else 0.5)
                weight.add_(scale * torch.randn(weight.shape, generator=draw).to(weight))
    return network.eval()


def seeded(call: Callable[[], Result]) -> Result:
    """Result of ``call``, with the global generator in the same state each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return call()


def draws(*shapes: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Standard normal tensors of these shapes."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype) for shape in shapes]


def off(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference, divided by the largest expected absolute value or by 1, whichever is larger."""
    if not found.numel():
        return 0.0
    return float((found - expected).detach().abs().max()) / max(1.0, float(expected.detach().abs().max()))


def same_weights(subject: Subject, call: Callable[[nn.Module], list[Tensor]]) -> None:
    """Require equal outputs of ``call`` from two components of different seeds, after one loads the other's state."""
    one, other = scattered(subject.make(seed=1)), subject.make(seed=2).eval()
    expected = seeded(lambda: call(one))  # before its state is read: tensors made by the first call must be in it
    other.load_state_dict(one.state_dict())
    found = seeded(lambda: call(other))
    same = all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    require(same, "two components with the same weights give different outputs: a tensor is missing from state_dict()")


def reached(network: nn.Module, loss: Tensor) -> None:
    """Require that the gradient of ``loss`` reaches every parameter of a network."""
    parameters = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    if not parameters:
        not_applicable("it has no parameters to train")
    require(loss.requires_grad, f"no gradient reaches any of its {len(parameters)} parameters")
    loss.backward()  # type: ignore[no-untyped-call]
    dead = [name for name, weight in parameters.items() if weight.grad is None]
    require(not dead, f"no gradient reaches {', '.join(dead)}")


def device_rules(kind: Kind, call: Callable[[Subject, nn.Module, torch.device], list[Tensor]]) -> None:
    """Add the two rules about devices to a kind; ``call`` gives what a network of it outputs on a device."""

    @rule(kind)
    def shape_without_data(subject: Subject) -> None:
        """Made and called on torch's meta device, as `vast check` does, it tells the shapes."""
        without_data(subject, partial(call, subject))

    @rule(kind)
    def moves_to_another_device(subject: Subject) -> None:
        """All that it holds goes along with ``to(device)``: to CUDA where there is one, else to the meta device."""
        elsewhere(subject, partial(call, subject))


def elsewhere(subject: Subject, call: Callable[[nn.Module, torch.device], list[Tensor]]) -> None:
    """Require that a component works after a move to CUDA, or to the meta device if there is no CUDA."""
    device = torch.device("cuda" if torch.cuda.is_available() else "meta")
    if device.type == "meta":
        try:
            without_data(subject, call)
        except NotApplicable:
            raise
        except Exception as error:  # noqa: BLE001 - it may fail in any way; `shape without data` reports it
            not_applicable(f"see `shape without data`, and there is no CUDA device here: {error}")
    network = subject.make().eval().to(device)
    try:
        outputs = call(network, device)
    except (RuntimeError, NotImplementedError) as error:
        require(False, f"moved to {device}, it fails: {first_line(error)}; are all its tensors parameters or buffers?")
    for output in outputs:
        require(output.device.type == device.type, f"moved to {device}, it gives a tensor on {output.device}")


def without_data(subject: Subject, call: Callable[[nn.Module, torch.device], list[Tensor]]) -> list[Tensor]:
    """Outputs of a component that is made and called on the meta device, as by `vast check`."""
    meta = torch.device("meta")
    with meta:
        network = subject.make().eval()
        return call(network, meta)


def start_gently(
    part: Any, clips: Sequence[tuple[Tensor, Tensor, Tensor]], how: str = "start_from", *further: Tensor
) -> None:
    """Call the method ``how`` of ``part`` with clips; it must keep these, and the names and shapes of its state."""
    given = [tuple(tensor.clone() for tensor in clip) for clip in clips]
    before = {name: tensor.shape for name, tensor in part.state_dict().items()}
    getattr(part, how)(given, *further)
    after = {name: tensor.shape for name, tensor in part.state_dict().items()}
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    require(not differing, f"{how}() changes names or shapes in its state: {', '.join(differing)}")
    same = all(torch.equal(a, b) for one, two in zip(clips, given, strict=True) for a, b in zip(one, two, strict=True))
    require(same, f"{how}() changed its clips")
