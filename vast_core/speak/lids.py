"""The lids of a speaking face: those of its style, with the blinks of the base clip."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from ..interfaces import Face
from .base_clip import BaseClip

__all__ = ["Lids"]

NARROWEST = 0.5
"""Least opening of an eye that a style may leave, as a share of that at rest; only a blink closes it further."""

AROUND_EYES = 18.0
"""Distance from an eye, in millimetres, up to which the skin follows where its lids are held open; brows are further
away."""


@attrs.frozen(eq=False)
class _Eye:
    """One eye of a base clip."""

    contour: Tensor
    """(N,): indices of its vertices, in the order around it."""
    openings: Tensor
    """(T,): in each frame of the clip."""
    least: Tensor
    """(T,): opening below which no style may close it there."""
    weight: Tensor
    """(V, 1): how far each vertex follows where its lids are held open."""


class Lids:
    """The blinks of a base clip, for faces in any style.

    A style that narrows the eyes and a clip whose eyes are narrow together would push the lids through each other. An
    eye is therefore moved towards the base clip's own, as far as its opening is not below that and ``NARROWEST``.
    """

    def __init__(self, face: Face, base: BaseClip) -> None:
        eyes = torch.as_tensor(face.eyes)
        self._base, self._eyes = base, eyes
        moved = base.displacement[:, eyes].float()
        self._blinks = moved - moved.median(0).values
        place = {int(vertex): row for row, vertex in enumerate(eyes)}
        right = base.identity[eyes, 0] < base.identity[eyes, 0].mean()
        self._each = []
        for eye in (eyes[right], eyes[~right]):
            contour = eye[_around(base.identity[eye])]
            openings = _opening(base.identity[contour] + moved[:, [place[int(vertex)] for vertex in contour]])
            distance = torch.cdist(base.identity, base.identity[eye]).amin(1) * face.millimetres
            weight = _smoothly(1 - distance / AROUND_EYES)[:, None]
            self._each.append(_Eye(contour, openings, openings.clamp_max(NARROWEST * openings.median()), weight))

    def blinking(self, shape: Tensor, played: Sequence[int] | Tensor) -> Tensor:
        """The face ``shape`` (T, V, 3), canonical, whose eyes also move as in the clip's frames ``played`` (T)."""
        chosen = torch.as_tensor(played)
        shape = shape.clone()
        shape[:, self._eyes] += self._blinks[chosen]
        own = self._base.identity + self._base.displacement[chosen].float()
        for eye in self._each:
            found = _opening(shape[:, eye.contour])
            share = ((eye.least[chosen] - found) / (eye.openings[chosen] - found).clamp_min(1e-6)).clamp(0, 1)
            shape += share[:, None, None] * eye.weight * (own - shape)
        return shape


def _around(points: Tensor) -> Tensor:
    """The order (N,) of points (N, 3) around their middle, seen from the front."""
    from_middle = points - points.mean(0)
    return torch.atan2(from_middle[:, 1], from_middle[:, 0]).argsort()


def _opening(contour: Tensor) -> Tensor:
    """Area (T,) within a contour (T, N, 3), seen from the front; negative where it is turned inside out."""
    x, y = contour[..., 0], contour[..., 1]
    return (x * y.roll(-1, -1) - x.roll(-1, -1) * y).sum(-1) / 2


def _smoothly(share: Tensor) -> Tensor:
    """From 0 to 1 as the share goes from 0 to 1, level at both ends."""
    held = share.clamp(0, 1)
    return held.square() * (3 - 2 * held)
