"""The device to compute on, and the precision."""

from __future__ import annotations

import torch

from . import processes


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
