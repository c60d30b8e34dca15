"""What each registered flow costs beside the others, in its default options.

    python tests/benchmarks/flows.py [--batch 32] [--size 32] [--device cuda]

Prints, for each flow, its parameters, the time of a forward and backward pass and that of the inverse where it offers
one, each also as a multiple of the Householder flow's forward and backward pass in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from vast_core.interfaces import Flow, Sizes
from vast_core.registry import Registry

CONTEXT = 64


def step(flow: Flow, z: Tensor, h: Tensor) -> Callable[[], object]:
    """A forward and a backward pass, the gradient of z included."""

    def call() -> object:
        flow.zero_grad(set_to_none=True)
        output = flow(z.detach().requires_grad_(), h)
        return (output.z.square().sum() - output.log_det.sum()).backward()

    return call


def back(flow: Flow, z: Tensor, h: Tensor) -> Callable[[], object] | None:
    inverse = getattr(flow, "inverse", None)
    if inverse is None:
        return None

    def call() -> object:
        with torch.no_grad():
            return inverse(z, h)

    return call


def seconds(calls: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """Least time of each call, the process's own on a CPU; the calls take turns, so that what slows one slows all."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            started = clock()
            call()
            if device != "cpu":
                torch.accelerator.synchronize()
            times[name].append(clock() - started)
    return {name: min(own[1:]) for name, own in times.items()}  # the first one warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args()

    torch.manual_seed(0)
    sizes = Sizes(fps=25, style=asked.size, context=CONTEXT)
    z, h = (torch.randn(asked.batch, width, device=asked.device) for width in (asked.size, CONTEXT))
    components = Registry.discover().components("flow")
    flows = {one.name: one.load().from_config(one.config(), sizes).to(asked.device) for one in components}
    steps = seconds({name: step(flow, z, h) for name, flow in flows.items()}, asked.repeats, asked.device)
    ways = {name: back(flow, z, h) for name, flow in flows.items()}
    inverses = seconds({name: way for name, way in ways.items() if way}, asked.repeats, asked.device)

    print(f"torch {torch.__version__}, {asked.device}, {torch.get_num_threads()} threads, B = {asked.batch}, ", end="")
    print(f"Z = {asked.size}, H = {CONTEXT}, least of {asked.repeats}; multiples of householder's forward + backward")
    print(f"{'flow':14}{'parameters':>12}{'forward + backward':>24}{'inverse':>24}")
    one = steps["householder"]
    for name, flow in flows.items():
        count = sum(parameter.numel() for parameter in flow.parameters())
        inverse = f"{1e3 * inverses[name]:9.2f} ms {inverses[name] / one:9.2f}" if name in inverses else "-"
        print(f"{name:14}{count:12,}{1e3 * steps[name]:12.2f} ms {steps[name] / one:8.2f}{inverse:>24}")


if __name__ == "__main__":
    main()
