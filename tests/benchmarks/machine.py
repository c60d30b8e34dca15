"""What the machine is, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch


def named() -> str:
    """The processor's type, with the number of cores that this process may use."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = found.get("model name") or platform.processor() or platform.machine()
    model = f" (family {found['cpu family']}, model {found['model']})" if {"cpu family", "model"} <= set(found) else ""
    return f"{name}{model}, {len(os.sched_getaffinity(0))} cores"


def peak(size: int = 1024, repeats: int = 12) -> float:
    """The most GFLOP a second of this process' own time, of one thread, in a float32 product of matrices."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    one, other = torch.rand(size, size), torch.rand(size, size)
    least = float("inf")
    for _ in range(repeats):
        started = time.thread_time()
        one @ other
        least = min(least, time.thread_time() - started)
    torch.set_num_threads(before)
    return 2 * size**3 / least / 1e9
