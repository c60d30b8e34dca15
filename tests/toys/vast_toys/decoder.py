"""A decoder by flow matching: from noise to a face in a few steps, and how the head moves with it."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from vast_core.interfaces import Decoder, DecoderLoss, DecoderOutput, Sizes, State

from .config import MatchingConfig


class Matching(Decoder):
    """x_1 = x_0 + sum of v(x_t, t, audio, style) / steps, with x_0 the noise; then smoothed over time.

    v is learned by the squared error from target - x_0 at x_t = (1 - t) x_0 + t target (Lipman et al., 2023).
    """

    moves_head: ClassVar = True

    def __init__(self, config: MatchingConfig, sizes: Sizes) -> None:
        super().__init__()
        self.noise, self.steps = sizes.expression, config.steps
        self.velocity = nn.Sequential(
            nn.Linear(sizes.expression + 1 + sizes.audio + sizes.style, config.width),
            nn.Tanh(),
            nn.Linear(config.width, sizes.expression),
        )
        self.turn = nn.Linear(sizes.expression, 12)
        nn.init.normal_(self.turn.weight, std=0.01)

    @classmethod
    def from_config(cls, config: MatchingConfig, sizes: Sizes) -> Self:
        """Make one."""
        return cls(config, sizes)

    def forward(
        self,
        audio: Tensor,
        style: Tensor,
        mask: Tensor,
        state: State | None = None,
        future: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> DecoderOutput:
        """Expression and head pose."""
        if noise is None:
            raise ValueError("noise (B, T, E) must be given")
        face = noise[:, : mask.shape[1]]
        for step in range(self.steps):
            time = torch.full_like(face[..., :1], step / self.steps)
            face = face + self._velocity(face, time, audio, style) / self.steps
        last = torch.zeros_like(face[:, 0]) if state is None else state["last"]
        rows = []
        for frame in face.unbind(1):
            last = (last + frame) / 2
            rows.append(last)
        smooth = torch.stack(rows, 1)
        return DecoderOutput(smooth, {"last": last}, self._pose(smooth))

    def training_loss(
        self,
        audio: Tensor,
        style: Tensor,
        mask: Tensor,
        target: Tensor,
        progress: float,
        motion: Tensor | None = None,
    ) -> DecoderLoss:
        """Flow matching, and the squared error of the head's motion."""
        if motion is None:
            raise ValueError("motion (B, T, 3, 4) must be given")
        start, time = torch.randn_like(target), torch.rand_like(target[..., :1])
        now = (1 - time) * start + time * target
        velocity = self._velocity(now, time, audio, style)
        matching = self._mean((velocity - (target - start)).square().sum(-1), mask)
        head = self._mean((self._pose(target) - motion).square().sum((-1, -2)), mask)
        terms = {"matching": matching.mean().detach(), "head": head.mean().detach()}
        return DecoderLoss(loss=matching + head, predictions=[now + (1 - time) * velocity], terms=terms)

    def _velocity(self, face: Tensor, time: Tensor, audio: Tensor, style: Tensor) -> Tensor:
        code = style[:, None].expand(-1, face.shape[1], -1)
        velocity: Tensor = self.velocity(torch.cat([face, time, audio, code], -1)).float()
        return velocity

    def _pose(self, face: Tensor) -> Tensor:
        still = torch.eye(3, 4, device=face.device)
        pose: Tensor = still + 0.1 * torch.tanh(self.turn(face).float()).unflatten(-1, (3, 4))
        return pose

    @staticmethod
    def _mean(error: Tensor, mask: Tensor) -> Tensor:
        """(B,), over the frames that count, of an error (B, T)."""
        return torch.where(mask, error, 0.0).sum(1) / mask.sum(1).clamp_min(1)
