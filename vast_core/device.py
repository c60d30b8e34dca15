"""The device to compute on, the precision, and the number of threads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Thread
from typing import Any

import cv2
import torch
import torch.nn.functional as F

from . import processes

__all__ = ["autocast", "best_device", "drawing_precision", "use_threads"]

ROUNDS, PATIENCE = 4, 0.3
"""How often each number of threads is timed, and the seconds after which that is enough."""

WORTH = 1.2
"""How many times as fast as one thread several must be to be chosen (our choice)."""


def best_device() -> torch.device:
    """A GPU if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if processes.count() > 1:  # the others cannot be reached from Apple's GPU
        return torch.device("cpu")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def autocast(device: torch.device) -> torch.autocast:
    """bf16 if the hardware computes in it; on CPUs without it, bf16 is four times slower than float32."""
    capable = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=capable)


def drawing_precision(device: torch.device) -> torch.autocast:
    """bf16 on CPUs that multiply matrices in it (AMX): more than twice as fast, at differences below 1 of 255.

    On others, and on GPUs, which have time, pictures are drawn in float32.
    """
    facts: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    capable = device.type == "cpu" and bool(facts.get("amx_bf16"))
    kind = device.type if torch.amp.is_autocast_available(device.type) else "cpu"
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=capable)


def use_threads(count: int | None = None) -> str:
    """Compute with ``count`` threads from now on; returns a sentence that says so.

    Without ``count`` it is one, or as many as torch takes by itself, whichever a measurement of some tenths of a second
    finds faster. Where other programs are busy, threads wait for each other at every operation, and two can take
    several times as long as one. An avatar speaks in several threads already, so two computations are timed side by
    side.
    """
    most = torch.get_num_threads()
    if count is not None or most == 1:
        count = count or 1
        said = f"computing with {count} thread{'s' if count > 1 else ''}"
    else:
        gain = _seconds_of_one_over(most)
        count = most if gain > WORTH else 1
        threads = "1 thread" if count == 1 else f"{count} threads"
        said = f"computing with {threads}; a measurement took {gain:.1f} times as long with 1 as with {most}"
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    return said


def _seconds_of_one_over(most: int) -> float:
    """How many times as long the measurement takes with one thread as with ``most``; they take turns."""
    seconds = dict.fromkeys((1, most), 0.0)
    _work()  # sets memory up
    for _ in range(ROUNDS):
        for count in seconds:
            torch.set_num_threads(count)
            started = time.perf_counter()
            beside = Thread(target=_work)
            beside.start()
            _work()
            beside.join()
            seconds[count] += time.perf_counter() - started
        if sum(seconds.values()) > PATIENCE:
            break
    return seconds[1] / seconds[most]


@torch.no_grad()
def _work() -> None:
    """Small convolutions and what comes between them, as in a renderer."""
    features, weights = torch.ones(2, 64, 32, 32), torch.full((64, 64, 3, 3), 1 / 576)
    for _ in range(3):
        features = F.leaky_relu(F.conv2d(features, weights, padding=1), 0.2)
