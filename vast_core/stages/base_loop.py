"""Cut the avatar's own footage to a clip that ends as it begins, so that it can be played for ever without a jump."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..interfaces import Face, place
from ..mesh.scene import Image
from ..mesh.warp import with_face
from ..speak.base_clip import BaseClip

__all__ = ["Loop"]

FADES = (0.4, 0.8, 1.2)
"""Seconds in which the end of the clip becomes what precedes its beginning: longer if no two moments are alike."""

SHORTEST = 0.5
"""Least share of the clip that is played."""

LENGTH_WEIGHT = 0.015
"""How much playing nothing of a clip would count beside a distance of one face at the join."""

ALIKE = 0.06
"""Distance of the faces at the join, in sizes of the face, up to which no longer one is tried."""

MOST_MOMENTS = 1000
"""Number of moments of a clip that are compared."""

POINTS = 64
"""Number of the face's points of which they are compared."""


@attrs.frozen
class Loop:
    """What of a clip is played, in a circle.

    The frames from ``start`` to ``stop``, of which the last ``fade`` become step by step the ``fade`` frames before
    ``start``. A clip that is too short for that is played whole, forward and back: ``fade`` is 0.
    """

    start: int
    stop: int
    fade: int

    @classmethod
    def find(cls, faces: NDArray[np.float32], fps: float) -> Loop:
        """The loop of a clip with these faces (T, V, 3), in pixels, of which the join shows least.

        Minimises ``d + 0.015 (1 - length / T)`` over all that is at least half as long as the clip. ``d`` is the root
        mean square distance of the faces, at the beginning, middle and end of the join, in sizes of the face; so it has
        both where the head is and how it moves.
        """
        frames, found = len(faces), cls(0, len(faces), 0)
        some = np.unique(np.linspace(0, faces.shape[1] - 1, POINTS).astype(int))
        points = torch.from_numpy(np.ascontiguousarray(faces[:, some, :2])).double().flatten(1)
        extent = float(np.ptp(faces[..., :2], axis=1).max(1).mean())
        for fade in (max(2, round(seconds * fps)) for seconds in FADES):
            if frames < 4 * fade:
                break
            moments = torch.arange(0, frames - fade + 1, -(-frames // MOST_MOMENTS))
            views = torch.cat([points[moments + shift] for shift in (0, fade // 2, fade - 1)], 1)
            distance = torch.cdist(views, views) / (extent * (views.shape[1] / 2) ** 0.5)
            length = (moments[None] - moments[:, None]) / frames
            cost = torch.where(length >= SHORTEST, distance + LENGTH_WEIGHT * (1 - length), torch.inf)
            first, last = divmod(int(cost.argmin()), len(moments))
            found = cls(int(moments[first]) + fade, int(moments[last]) + fade, fade)
            if bool(distance[first, last] <= ALIKE):
                break
        return found

    def __len__(self) -> int:
        """Number of frames until the first comes again."""
        length = self.stop - self.start
        return length if self.fade else max(1, 2 * length - 2)

    def mixed(self, values: Tensor) -> Tensor:
        """Values (T, ...) of the clip's frames as those of the loop's."""
        if not self.fade:
            return torch.cat([values, values[1:-1].flip(0)])
        share = self._shares.to(values.dtype).view(-1, *[1] * (values.ndim - 1))
        before, end = values[self.start - self.fade : self.start], values[self.stop - self.fade : self.stop]
        return torch.cat([values[self.start : self.stop - self.fade], end + share * (before - end)])

    def pictures(self, frames: Iterable[Image], base: BaseClip, face: Face) -> Iterator[Image]:
        """The loop's pictures (Y, X, 3), of the clip's own. ``base`` has the tracked faces of the clip.

        In the join both heads are warped to the face between theirs and mixed, so that none is seen double.
        """
        if not self.fade:
            kept = []
            for frame in frames:
                kept.append(frame)
                yield frame
            yield from reversed(kept[1:-1])
            return
        faces = place(base.identity + base.displacement.float(), base.pose)
        pose, displacement = self.mixed(base.pose), self.mixed(base.displacement.float())
        before: list[Image] = []
        for number, frame in enumerate(frames):
            if self.start - self.fade <= number < self.start:
                before.append(frame)
            elif self.start <= number < self.stop - self.fade:
                yield frame
            elif self.stop - self.fade <= number < self.stop:
                step = number - (self.stop - self.fade)
                row = number - self.start
                between = place(base.identity + displacement[row], pose[row]).numpy()
                pair = ((frame, number), (before[step], self.start - self.fade + step))
                mine, other = (
                    with_face(picture, faces[at].numpy(), between, face, same_pose=False) for picture, at in pair
                )
                yield _mixed(mine, other, float(self._shares[step]))

    @property
    def _shares(self) -> Tensor:
        """How far each frame of the join has become the other."""
        steps = (torch.arange(self.fade) + 1) / (self.fade + 1)
        return steps * steps * (3 - 2 * steps)


def _mixed(mine: NDArray[Any], other: NDArray[Any], share: float) -> Image:
    return np.asarray(np.rint(mine + share * (other.astype(np.float32) - mine)), np.uint8)
