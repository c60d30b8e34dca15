"""Determinants are sums of small logarithms, so flows compute them at least in float32, even under autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """``tensor`` in its own type, or in float32 if that is narrower."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


@contextmanager
def no_autocast(device: torch.device) -> Iterator[None]:
    """Disable autocast, on devices that have it."""
    if not torch.amp.is_autocast_available(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield
