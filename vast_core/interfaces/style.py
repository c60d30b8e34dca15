"""The posterior of the style code, and the style encoder."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import attrs
import torch
from torch import Tensor, nn

from .sizes import Sizes


@attrs.frozen(eq=False)
class Posterior:
    """q(z0 given X, A), a diagonal Gaussian, and the context that the flow sees (VAST, eq. 7)."""

    mean: Tensor
    """(B, Z)."""
    log_std: Tensor
    """(B, Z)."""
    context: Tensor
    """(B, H)."""

    def sample(self, noise: Tensor) -> Tensor:
        """z0 (B, Z) = mean + std * noise, with standard normal ``noise`` (B, Z)."""
        return self.mean + self.log_std.exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """ln q0(z) (B,), in nats."""
        scaled = (z - self.mean) * torch.exp(-self.log_std)
        return -(0.5 * scaled.square() + self.log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


class StyleEncoder(nn.Module, ABC):
    """Encodes the speaking style of a prompt: a clip of any length, or a label or words."""

    reads: ClassVar[Literal["clips", "labels", "both"]] = "clips"
    """What its prompts are. For ``labels`` and ``both`` implement :meth:`read_labels`, for ``clips`` and ``both``
    :meth:`forward`. In training, labels are the clips' :attr:`Clip.style`."""
    vocabulary: tuple[str, ...] = ()
    """The labels that it knows; empty if it reads any words."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    def start_from(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Initialise from the training footage, before the first step; by default, this does nothing.

        ``clips`` has audio (T, A), expression (T, E) and mask (T,), on the CPU, of training clips, the audio of clips
        without sound being that of silence.
        """

    def forward(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Posterior:
        """q(z0 given X, A) of expression (B, T, E) and audio (B, T, A).

        ``mask`` (B, T) is False for frames to ignore; ``heard`` (B,) is False if the prompt has no sound; its
        audio is then ignored.
        """
        raise TypeError(f"{type(self).__name__} reads labels only, or lacks forward()")

    def read_labels(self, labels: Sequence[str]) -> Posterior:
        """q(z0 given the label) for B labels of one or more words each.

        Raises :class:`vast_core.errors.InputError` for a label that is not in its ``vocabulary``.
        """
        raise TypeError(f"{type(self).__name__} reads clips only, or lacks read_labels()")
