"""Householder flow: the compact form against the chain, in time and in numbers.

    python tests/benchmarks/householder_forms.py [--device cuda] [--batch 1 32 256] [--size 32 128] [--steps 2 8 32]

Prints, for each batch B, width Z and number of reflections K, the milliseconds of the chain, how many times faster the
compact form is (forward alone, and forward with backward), both of the same run, and by how much their z_K differ,
relative to |z_K|. `reflections` leaves out the linear layers that give the mirrors, which both forms share.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor

from vast_flows.householder import HouseholderFlow, _at_once, _one_by_one, unit_mirrors

CONTEXT = 64


def seconds(calls: Sequence[Callable[[], object]], repeats: int, device: str) -> list[float]:
    """Median time of each call, the process's own on a CPU; they take turns, so that what slows one slows all."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    times: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats + 2):
        for call, own in zip(calls, times, strict=True):
            if device != "cpu":
                torch.accelerator.synchronize()
            started = clock()
            call()
            if device != "cpu":
                torch.accelerator.synchronize()
            if repeat >= 2:  # the first two warm up
                own.append(clock() - started)
    return [median(own) for own in times]


def flows(batch: int, size: int, steps: int, device: str) -> tuple[HouseholderFlow, HouseholderFlow, Tensor, Tensor]:
    torch.manual_seed(0)
    chain = HouseholderFlow(size, CONTEXT, steps, "chain")
    for parameter in chain.parameters():
        parameter.data.normal_(0, size**-0.5)
    compact = HouseholderFlow(size, CONTEXT, steps, "compact")
    compact.load_state_dict(chain.state_dict())
    z, h = torch.randn(batch, size), torch.randn(batch, CONTEXT)
    return chain.to(device), compact.to(device), z.to(device), h.to(device)


def forward(flow: HouseholderFlow, z: Tensor, h: Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.no_grad():
            return flow(z, h)

    return call


def backward(flow: HouseholderFlow, z: Tensor, h: Tensor) -> Callable[[], object]:
    def call() -> object:
        flow.zero_grad(set_to_none=True)
        return flow(z, h).z.square().sum().backward()

    return call


def reflections(form: Callable[..., Tensor], mirrors: Tensor, z: Tensor) -> Callable[[], object]:
    given = mirrors.clone().requires_grad_()

    def call() -> object:
        given.grad = None
        return form(z, given, False).square().sum().backward()

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--size", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args()

    print(f"torch {torch.__version__}, {asked.device}, {torch.get_num_threads()} threads, median of {asked.repeats}")
    print(f"{'':>15}{'chain, ms':>20}{'chain / compact':>20}{'reflections alone':>20}")
    print(f"{'B':>5}{'Z':>5}{'K':>5}{'forward':>10}{'backward':>10}{'forward':>10}{'backward':>10}", end="")
    print(f"{'backward':>20}{'difference':>12}")
    for batch in asked.batch:
        for size in asked.size:
            for steps in asked.steps:
                chain, compact, z, h = flows(batch, size, steps, asked.device)
                with torch.no_grad():
                    mirrors = unit_mirrors(chain._mirrors(h))
                    one, other = chain(z, h).z, compact(z, h).z
                calls = [make(flow, z, h) for make in (forward, backward) for flow in (chain, compact)]
                calls += [reflections(form, mirrors, z) for form in (_one_by_one, _at_once)]
                ahead, ahead_compact, back, back_compact, alone, alone_compact = seconds(
                    calls, asked.repeats, asked.device
                )
                difference = ((one - other).norm(dim=-1) / one.norm(dim=-1)).max().item()
                print(f"{batch:5}{size:5}{steps:5}{1e3 * ahead:10.2f}{1e3 * back:10.2f}", end="")
                print(f"{ahead / ahead_compact:10.2f}{back / back_compact:10.2f}", end="")
                print(f"{alone / alone_compact:20.2f}{difference:12.0e}", flush=True)


if __name__ == "__main__":
    main()
