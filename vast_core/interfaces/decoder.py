"""Audio and style to expression, chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs
from torch import Tensor, nn

from .sizes import Sizes

State = Mapping[str, Tensor]
"""What a decoder or renderer carries from one chunk to the next; opaque to the core."""


@attrs.frozen(eq=False)
class DecoderOutput:
    """Expression (B, T, E) and the state for the chunk that follows."""

    expression: Tensor
    state: State


class Decoder(nn.Module, ABC):
    """Audio and style to expression. Chunked equals whole, to 1e-4."""

    lookahead: int = 0
    """Frames of audio after a frame that it depends on."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(
        self,
        audio: Tensor,
        style: Tensor,
        mask: Tensor,
        state: State | None = None,
        future: Tensor | None = None,
    ) -> DecoderOutput:
        """Expression of audio (B, T, A) in style (B, Z).

        ``mask`` (B, T) is False on padding. ``state`` is what the chunk before returned. ``future`` (B, L, A),
        L <= ``lookahead``, is the audio that follows this chunk; None or short at the end of the clip.
        """

    def start_from(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Take a start from the training footage, before the first step; by default nothing is taken.

        ``clips`` holds audio (T, A), expression (T, E) and mask (T,), on the CPU, of each training clip.
        """

    def reconstruct(
        self, audio: Tensor, style: Tensor, mask: Tensor, target: Tensor, progress: float
    ) -> Sequence[Tensor]:
        """Predictions (B, T, E) to be scored against ``target`` (B, T, E) in training, the final one last.

        ``progress`` in [0, 1] is the share of training that is done, for teacher forcing that anneals.
        """
        return [self(audio, style, mask).expression]
