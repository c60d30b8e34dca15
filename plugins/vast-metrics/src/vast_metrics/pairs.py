"""Reads a prediction and its reference, and refuses pairs that cannot be compared."""

from __future__ import annotations

import torch
from torch import Tensor

from vast_core.interfaces import Performance


def present(tensor: Tensor | None, metric: str, side: str, name: str) -> Tensor:
    """``tensor``; raises ValueError if the ``side`` has none."""
    if tensor is None:
        raise ValueError(f"{metric}: the {side} has no {name}; give Performance({name}=...)")
    return tensor


def vertices(prediction: Performance, reference: Performance, metric: str, frames: int = 1) -> tuple[Tensor, Tensor]:
    """Both vertices (T, V, 3) in millimetres, float64 on the CPU.

    Raises :class:`ValueError` if a side is missing, not finite, shorter than ``frames``, or differs in shape or unit
    from the other.
    """
    if prediction.face.millimetres != reference.face.millimetres:
        raise ValueError(
            f"{metric}: a canonical unit is {prediction.face.millimetres} mm for the prediction's face and "
            f"{reference.face.millimetres} mm for the reference's; compare performances of one face component"
        )
    x = present(prediction.vertices, metric, "prediction", "vertices")
    y = present(reference.vertices, metric, "reference", "vertices")
    _same_shape(x, y, metric, "vertices", "(T, V, 3)")
    if x.ndim != 3 or x.shape[-1] != 3:
        raise ValueError(f"{metric}: vertices must be (T, V, 3), not {tuple(x.shape)}")
    if len(x) < frames:
        raise ValueError(f"{metric}: needs at least {frames} frames, the clip has {len(x)}")
    _finite(x, metric, "prediction", "vertices")
    _finite(y, metric, "reference", "vertices")
    scale = reference.face.millimetres
    return _exact(x) * scale, _exact(y) * scale


def alone(performance: Performance, metric: str, side: str, frames: int = 1) -> Tensor:
    """Vertices (T, V, 3) of one ``side`` in millimetres, float64 on the CPU; ValueError as in :func:`vertices`."""
    x = present(performance.vertices, metric, side, "vertices")
    if x.ndim != 3 or x.shape[-1] != 3:
        raise ValueError(f"{metric}: vertices of the {side} must be (T, V, 3), not {tuple(x.shape)}")
    if len(x) < frames:
        raise ValueError(f"{metric}: needs at least {frames} frames, the {side} has {len(x)}")
    _finite(x, metric, side, "vertices")
    return _exact(x) * performance.face.millimetres


def neutral(performance: Performance, metric: str, side: str = "reference") -> Tensor:
    """The ``side``'s neutral face (V, 3) in millimetres, float64 on the CPU.

    Raises :class:`ValueError` if it is missing, or does not match the side's vertices.
    """
    found = present(performance.neutral, metric, side, "neutral")
    if performance.vertices is not None and found.shape != performance.vertices.shape[1:]:
        raise ValueError(
            f"{metric}: the neutral face of the {side} is {tuple(found.shape)}, but vertices "
            f"{tuple(performance.vertices.shape)} need {tuple(performance.vertices.shape[1:])}"
        )
    return _exact(found) * performance.face.millimetres


def rate(prediction: Performance, reference: Performance, metric: str) -> float:
    """Frames per second of both; raises ValueError if they differ."""
    if prediction.fps != reference.fps:
        raise ValueError(
            f"{metric}: the prediction has {prediction.fps} fps, the reference {reference.fps}; resample one of them"
        )
    return reference.fps


def frames(prediction: Performance, reference: Performance, metric: str) -> tuple[Tensor, Tensor, Tensor]:
    """Both images (T, 3, Y, X), float32 on the CPU, and the region (T, 1, Y, X) to compare, bool.

    The region is the reference's, otherwise the prediction's, otherwise everything. Raises :class:`ValueError` if a
    side is missing, not finite or has a different shape than the other, or if the region is empty.
    """
    x = present(prediction.frames, metric, "prediction", "frames").detach().to("cpu", torch.float32)
    y = present(reference.frames, metric, "reference", "frames").detach().to("cpu", torch.float32)
    _same_shape(x, y, metric, "frames", "(T, 3, Y, X)")
    if x.ndim != 4 or x.shape[1] != 3 or len(x) == 0:
        raise ValueError(f"{metric}: frames must be (T, 3, Y, X) with T > 0, not {tuple(x.shape)}")
    _finite(x, metric, "prediction", "frames")
    _finite(y, metric, "reference", "frames")
    region = reference.region if reference.region is not None else prediction.region
    if region is None:
        return x, y, torch.ones_like(x[:, :1], dtype=torch.bool)
    expected = (len(x), 1, *x.shape[2:])
    if region.shape != expected:
        raise ValueError(f"{metric}: region is {tuple(region.shape)}, but the frames {tuple(x.shape)} need {expected}")
    inside = region.detach().cpu() > 0.5
    if not inside.any():
        raise ValueError(f"{metric}: region {tuple(region.shape)} is empty; the face is outside every frame")
    return x, y, inside


def _same_shape(x: Tensor, y: Tensor, metric: str, name: str, axes: str) -> None:
    if x.shape != y.shape:
        raise ValueError(
            f"{metric}: {name} {axes} of the prediction are {tuple(x.shape)}, of the reference {tuple(y.shape)}; "
            "cut both to the same frames"
        )


def _finite(x: Tensor, metric: str, side: str, name: str) -> None:
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bad.any():
        first = int(bad.nonzero()[0, 0])
        raise ValueError(f"{metric}: {name} of the {side} are not finite, first in frame {first} of {len(x)}")


def _exact(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)
