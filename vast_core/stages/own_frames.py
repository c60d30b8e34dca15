"""Close-ups for training and measuring a renderer: another frame of the clip stands for the moment's own frame.

When an avatar speaks, the moment's own frame has the wanted pose and another expression. In footage whose true picture
is known, a frame near in everything but the mouth, and not near in time, comes closest to that.
"""

from __future__ import annotations

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..interfaces import CloseUp, RendererBatch
from ..mesh.close_up import close_ups, traits
from ..mesh.scene import as_images
from ..mesh.warp import Wanted, warped
from .avatar_pictures import CLOSE_UPS, AvatarPictures, Piece
from .context import StageContext

__all__ = ["OwnFrames"]

APART = 10
"""Frames by which two frames must be apart, so that one tells nothing about the mouth of the other."""

NEAR = 12
"""Number of nearest frames among which training chooses."""


@attrs.frozen(kw_only=True, eq=False)
class _Clip:
    """What is kept of one piece."""

    still: Tensor
    """(T, N): the points of the face that do not move with the mouth, in pixels."""
    traits: NDArray[np.float32]
    """(T, D)."""


class OwnFrames:
    """Gives training batches of one avatar their close-ups."""

    def __init__(self, context: StageContext, avatar: AvatarPictures) -> None:
        self._face, self._avatar, self._size = context.pipeline.face, avatar, context.pipeline.sizes.image
        self._bank, self._origins = avatar.mouths, avatar.mouth_origins
        self._clips: dict[str, _Clip] = {}

    def sources(self, piece: Piece, start: int, stop: int, chance: np.random.Generator | None) -> NDArray[np.int64]:
        """The frames that stand for ``start`` to ``stop``: consecutive as well.

        With ``chance``, which is for training, one of the nearest such runs of frames; without it the nearest.
        """
        still, last = self._clip(piece).still, piece.clip.frames
        middle = (start + stop) // 2
        lags = np.arange(-start, last - stop + 1)
        apart = lags[np.abs(lags) >= APART]
        lags = apart if len(apart) else lags
        distance = (still[middle + lags] - still[middle]).square().mean(1)
        order = distance.argsort()[: 1 if chance is None else NEAR].numpy()
        chosen = order[0] if chance is None else order[int(chance.integers(len(order)))]
        return np.asarray(np.arange(start, stop) + lags[chosen])

    def added(
        self, batch: RendererBatch, piece: Piece, start: int, stop: int, sources: NDArray[np.int64] | None = None
    ) -> RendererBatch:
        """``batch``, of the frames ``start`` to ``stop`` of a piece, with close-ups.

        ``sources`` are the frames that stand for these; by default, the nearest one for each.
        """
        if sources is None:
            sources = np.concatenate([self.sources(piece, t, t + 1, None) for t in range(start, stop)])
        names = ("frames", "vertices", "pose", *CLOSE_UPS)
        mine = {name: value[0].numpy() for name, value in self._avatar.read(piece, start, stop, names).items()}
        low, high = int(sources.min()), int(sources.max()) + 1
        block = self._avatar.read(piece, low, high, names)
        theirs = {name: value[0].numpy()[sources - low] for name, value in block.items()}
        frames = [
            warped(frame.transpose(1, 2, 0), Wanted(now, self._face, self._size, same_pose=False).shift_from(before))
            for frame, before, now in zip(theirs["frames"], theirs["vertices"], mine["vertices"], strict=True)
        ]
        number = self._avatar.pieces.index(piece)
        time = np.arange(start, stop)[:, None]
        allowed = (self._origins[:, 0] != number) | (np.abs(self._origins[:, 1] - time) >= APART)
        rows = close_ups(
            self._face,
            self._bank,
            mine["close_up_vertices"],
            self._clip(piece).traits[start:stop],
            list(theirs["close_ups"].transpose(0, 2, 3, 1)),
            theirs["close_up_vertices"],
            list(allowed),
        )
        rows["place"] = self._bank.place.places(torch.from_numpy(mine["pose"]))
        device = batch.frames.device
        close_up = CloseUp(**{name: value[None].to(device) for name, value in rows.items()})
        scene = attrs.evolve(
            batch.scene,
            own=as_images(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2))[None].to(device),
            close_up=close_up,
        )
        real = as_images(torch.from_numpy(mine["close_ups"]))[None].to(device)
        return attrs.evolve(batch, scene=scene, close_up=real)

    def _clip(self, piece: Piece) -> _Clip:
        if piece.file not in self._clips:
            rows = self._avatar.read(piece, 0, piece.clip.frames, ("vertices", "close_up_vertices", "pose"))
            fixed = np.union1d(self._face.upper_face, self._face.eyes)
            self._clips[piece.file] = _Clip(
                still=rows["vertices"][0][:, fixed, :2].flatten(1),
                traits=traits(self._face, rows["close_up_vertices"][0].numpy(), rows["pose"][0], self._bank.place),
            )
        return self._clips[piece.file]
