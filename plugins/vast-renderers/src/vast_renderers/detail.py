"""Mixing pictures without losing their fine detail."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

FINE, AROUND = 5, 9
"""Widths, in pixels, of the two box filters beyond which detail counts as fine, and of the surroundings in which its
strength is measured."""

MOST = 3.0
"""How many times the mixture's detail may be enlarged."""

_NOISE = 1e-5
"""Energy, of colours in [0, 1], below which there is no detail to speak of."""


def mixed(pictures: Tensor, weights: Tensor) -> Tensor:
    """The mean of K pictures, with fine detail as strong as theirs is on average.

    ``m + (g - 1) fine(m)``, where ``m = sum over k of w_k p_k``, ``fine(x) = x - box(box(x))`` and
    ``g^2 = box(sum over k of w_k fine(p_k)^2) / box(fine(m)^2)`` in [1, ``MOST``^2]. A mean of pictures that do not lie
    exactly upon each other is softer than each of them; its large forms are right, and this gives its detail their
    strength. Of one picture, or of equal ones, it is that picture.

    Args:
        pictures: (..., K, 3, Y, X).
        weights: (..., K, 1, Y, X), or of any shape that broadcasts to it; sum 1 over K.

    Returns:
        (..., 3, Y, X), not clamped.
    """
    mean = (weights * pictures).sum(-4)
    fine = _fine(mean)
    wanted = _box((weights * _fine(pictures).square().mean(-3, keepdim=True)).sum(-4), AROUND)
    present = _box(fine.square().mean(-3, keepdim=True), AROUND)
    gain = ((wanted + _NOISE) / (present + _NOISE)).sqrt().clamp(1.0, MOST)
    return mean + (gain - 1) * fine


def _fine(pictures: Tensor) -> Tensor:
    return pictures - _box(pictures, FINE, 2)


def _box(pictures: Tensor, width: int, times: int = 1) -> Tensor:
    """The mean around each pixel; at the rim, of what there is.

    As two products of matrices, ``A x A^T``, which is several times as fast as pooling.
    """
    y, x = pictures.shape[-2:]
    rows, columns = (_averaging(size, width, times, pictures.device, pictures.dtype) for size in (y, x))
    device = pictures.device.type
    # in bfloat16, colours would be steps apart; the meta device has no autocast
    with torch.autocast(device if torch.amp.is_autocast_available(device) else "cpu", enabled=False):
        return rows @ pictures @ columns.mT


@cache
def _averaging(size: int, width: int, times: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(size, size): the matrix that takes the mean of ``width`` neighbours along an axis, several times."""
    at = torch.arange(size, device="cpu")  # it is kept, also if all else is made on the meta device
    near = ((at[:, None] - at).abs() <= width // 2).float()
    averaging: Tensor = torch.linalg.matrix_power(near / near.sum(1, keepdim=True), times)
    return averaging.to(device, dtype)
