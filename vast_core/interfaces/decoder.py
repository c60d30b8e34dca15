"""Audio and style to expression, chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

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
    pose: Tensor | None = None
    """(B, T, 3, 4): motion of the head in the canonical frame, relative to its rest; the avatar's rest pose is applied
    after it. None keeps the head motion of the avatar's footage."""


@attrs.frozen(kw_only=True, eq=False)
class DecoderLoss:
    """A decoder's own loss, in place of the Gaussian likelihood of its predictions."""

    loss: Tensor
    """(B,): takes the place of -ln p(X | zK, A) per frame in the bound (VAST, eq. 7), in nats. It may be a surrogate,
    such as the squared error of flow matching. Masked frames do not count."""
    predictions: Sequence[Tensor] = ()
    """(B, T, E) each, the final one last, for the losses on lips and velocity; if empty, these are left out."""
    terms: Mapping[str, Tensor] = attrs.field(factory=dict)
    """Parts of the loss, each () and detached, logged separately."""


class Decoder(nn.Module, ABC):
    """Audio and style to expression. The result in chunks equals that of the whole clip to 1e-4."""

    lookahead: int = 0
    """Number of frames of later audio that a frame depends on."""
    noise: int = 0
    """N, standard normal numbers per frame that a stochastic decoder (a diffusion, say) needs. If it is not 0,
    ``forward`` has one more argument, ``noise`` (B, T + L, N), for the frames of the chunk and of its ``future``; it
    draws no other random numbers, so the same noise gives the same expression."""
    moves_head: ClassVar[bool] = False
    """True if ``forward`` gives ``pose``. Then ``training_loss`` has one more argument, ``motion`` (B, T, 3, 4): the
    motion of the head in the footage, to be predicted as :attr:`DecoderOutput.pose`."""

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

    def adapt_to(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]], styles: Tensor) -> None:
        """Adapt weights of another run to the training footage, before the first step; by default, this does nothing.

        It is called instead of :meth:`start_from`, with the same clips and the style ``styles[n]`` of each (N, Z), in
        which its expression is what the decoder should say. It must not start anew: little footage should change the
        weights little.
        """

    def reconstruct(
        self, audio: Tensor, style: Tensor, mask: Tensor, target: Tensor, progress: float
    ) -> Sequence[Tensor]:
        """Predictions (B, T, E) to compare with ``target`` (B, T, E) in training, the final one last.

        ``progress`` in [0, 1] is the completed share of training, for annealed teacher forcing.
        """
        return [self(audio, style, mask).expression]

    def training_loss(
        self, audio: Tensor, style: Tensor, mask: Tensor, target: Tensor, progress: float
    ) -> DecoderLoss | None:
        """The decoder's own loss, with the arguments of :meth:`reconstruct`, which is then not called.

        None, the default, maximises the Gaussian likelihood of the predictions of :meth:`reconstruct`. Random numbers
        come from torch's global generator.
        """
        return None
