"""Audio and style to expression, chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs
from torch import Tensor, nn

from .sizes import Sizes

State = Mapping[str, Tensor]
"""State that a decoder or renderer passes from one chunk to the next; opaque to the core."""


@attrs.frozen(eq=False)
class DecoderOutput:
    """Expression (B, T, E) and the state for the next chunk."""

    expression: Tensor
    state: State


class Decoder(nn.Module, ABC):
    """Audio and style to expression. The result in chunks equals that of the whole clip to 1e-4."""

    lookahead: int = 0
    """Number of frames of later audio that a frame depends on."""

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

        ``mask`` (B, T) is False on padding. ``state`` is the state of the previous chunk. ``future`` (B, L, A),
        L <= ``lookahead``, is the audio after this chunk; None or shorter at the end of the clip.
        """

    def start_from(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Initialise from the training footage, before the first step; by default, this does nothing.

        ``clips`` has audio (T, A), expression (T, E) and mask (T,), on the CPU, of each training clip.
        """

    def reconstruct(
        self, audio: Tensor, style: Tensor, mask: Tensor, target: Tensor, progress: float
    ) -> Sequence[Tensor]:
        """Predictions (B, T, E) to compare with ``target`` (B, T, E) in training, the final one last.

        ``progress`` in [0, 1] is the completed share of training, for annealed teacher forcing.
        """
        return [self(audio, style, mask).expression]
