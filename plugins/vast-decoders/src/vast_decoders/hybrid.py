"""The hybrid decoder: the whole face at once, then the lower face autoregressively."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import Decoder, DecoderOutput, Sizes, State

from .config import HybridConfig
from .recurrent import LowerFaceHead
from .ridge import RidgeFit, fit_ridge
from .trunk import Trunk

LARGEST_GAIN = 1.5
"""ln of the largest gain that a style can give to a coefficient."""


class HybridDecoder(Decoder):
    """Expression = gain(z) * postnet(head(trunk(A, z) + linear(A))) + offset(z).

    VAST mentions a hybrid decoder; the division into parts is our choice:

    * the **trunk**, non-autoregressive, predicts the whole face from audio and style;
    * a parallel **linear path** from the audio around a frame, which is most of what can be learned from little data;
    * the **head**, autoregressive, refines the lower face (the first ``sizes.lower_face`` coefficients) from its own
      previous outputs; in training it is given the true previous frame, with decreasing probability (scheduled
      sampling, Bengio et al. 2015);
    * the **post-net**, two causal convolutions (AdaMesh), smooths the result;
    * **gain and offset** of each coefficient come last, log-linear and linear in the style, so that an unseen amplitude
      is an extrapolation along a line. All parts before work in units without gain and offset.

    A reconstruction moves less than what it reconstructs, because what the sound does not tell is averaged. Spoken
    faces are therefore **enlarged**: each coefficient by the factor that gives it the footage's deviation, at most
    ``enlarged`` (global variance; Toda and Tokuda, A speech parameter generation algorithm considering global variance,
    2007). The factor is measured on clips that the regression was not fitted to.

    A frame depends on ``history`` frames of audio before it and ``lookahead`` frames after it, silence (zeros) outside
    the clip, and on the states of head and post-net. At the start, z = 0 has gain 1 and offset 0. With fewer
    ``parts``, trunk, head and post-net are missing; without a head nothing is autoregressive.
    """

    enlargement: Tensor

    def __init__(self, config: HybridConfig, sizes: Sizes) -> None:
        super().__init__()
        if not 1 <= sizes.lower_face <= sizes.expression:
            raise ValueError(
                f"lower_face is {sizes.lower_face}; it must be in 1...{sizes.expression}, the expression's width"
            )
        self.audio_size, self.style_size, self.expression_size = sizes.audio, sizes.style, sizes.expression
        self.lower_face = sizes.lower_face
        self.forcing = config.forcing
        self.linear_trained = config.linear_trained
        self.largest = config.enlarged
        self.register_buffer("enlargement", torch.ones(sizes.expression))
        self.postnet_history = 2 * (config.postnet - 1) if config.parts == "all" else 0
        self.trunk: Trunk | None = None
        self.history = self.lookahead = config.linear_reach
        if config.parts != "linear":
            self.trunk = Trunk(sizes.audio, sizes.style, config.width, config.symmetric, config.causal, config.dropout)
            self.history, self.lookahead = self.trunk.history, self.trunk.lookahead
            self.whole_face = nn.Linear(config.width, sizes.expression)
        self.reach = min(config.linear_reach, self.history, self.lookahead)
        self.linear = nn.Conv1d(sizes.audio, sizes.expression, 2 * self.reach + 1, bias=False)
        self.head: LowerFaceHead | None = None
        if config.parts == "all":
            self.head = LowerFaceHead(config.width, sizes.lower_face, config.recurrent)
            last = nn.Conv1d(config.width, sizes.expression, config.postnet, bias=False)
            self.postnet = nn.Sequential(
                nn.Conv1d(sizes.expression, config.width, config.postnet),
                nn.Tanh(),
                nn.Dropout(config.dropout),
                last,
            )
            nn.init.zeros_(last.weight)
        self.gain = nn.Linear(sizes.style, sizes.expression, bias=False)
        self.offset = nn.Linear(sizes.style, sizes.expression, bias=False)
        for start in (self.linear.weight, self.gain.weight, self.offset.weight):
            nn.init.zeros_(start)

    @classmethod
    def from_config(cls, config: HybridConfig, sizes: Sizes) -> Self:
        """Build a decoder; look-ahead and history follow from the dilations."""
        return cls(config, sizes)

    @torch.no_grad()
    def start_from(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Initialise the linear path with a ridge regression on the footage, and the trunk with zero.

        Gradient descent then only adds what a regression cannot represent; with little footage this largely decides
        whether the result is better or worse than the regression.
        """
        self._regress(fit_ridge(clips, self.reach))
        if self.trunk is not None:
            nn.init.zeros_(self.whole_face.weight)
            nn.init.zeros_(self.whole_face.bias)

    @torch.no_grad()
    def adapt_to(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]], styles: Tensor) -> None:
        """Move the linear path towards the regression on the footage, as far as that predicts unseen parts of it.

        The regression is fitted without the gain of each clip's style, which :meth:`forward` multiplies again.
        """
        gains = self._gain(styles)
        plain = [(audio, face / gain, mask) for (audio, face, mask), gain in zip(clips, gains, strict=True)]
        self._regress(fit_ridge(plain, self.reach, self.linear.weight))

    def _regress(self, fit: RidgeFit) -> None:
        self.linear.weight.copy_(fit.weights)
        self.enlargement.copy_((1 / fit.size.clamp_min(1 / self.largest)).clamp_min(1))
        self.linear.weight.requires_grad_(self.linear_trained)

    def forward(
        self,
        audio: Tensor,
        style: Tensor,
        mask: Tensor,
        state: State | None = None,
        future: Tensor | None = None,
    ) -> DecoderOutput:
        """Expression in float32, zeros where masked; see :meth:`Decoder.forward`.

        Raises:
            ValueError: if a shape does not match, or ``future`` is longer than ``lookahead``.
        """
        faces, gain, offset, state = self._predict(audio, style, mask, state, future)
        return DecoderOutput((gain * self.enlargement * faces[-1] + offset) * mask[..., None], state)

    def reconstruct(
        self, audio: Tensor, style: Tensor, mask: Tensor, target: Tensor, progress: float
    ) -> Sequence[Tensor]:
        """Expression of the trunk, before the post-net, and after it, each (B, T, E); only the first without
        a head.

        The head is given the frame of ``target`` with a probability that falls from 1 to 0 while ``progress`` goes from
        0 to the config's ``forcing``; torch's global generator draws.
        """
        if target.shape != (*mask.shape, self.expression_size):
            raise ValueError(f"target is {tuple(target.shape)}; it must be {(*mask.shape, self.expression_size)}")
        chance = max(0.0, 1 - progress / self.forcing) if self.forcing else 0.0
        forced = torch.rand(mask.shape, device=mask.device) < chance
        faces, gain, offset, _ = self._predict(audio, style, mask, None, None, target, forced & mask)
        return [(gain * face + offset) * mask[..., None] for face in faces]

    def _predict(
        self,
        audio: Tensor,
        style: Tensor,
        mask: Tensor,
        state: State | None,
        future: Tensor | None,
        target: Tensor | None = None,
        forced: Tensor | None = None,
    ) -> tuple[list[Tensor], Tensor, Tensor, State]:
        """Faces (B, T, E) without gain and offset, the final one last, gain and offset (B, 1, E), and the state."""
        self._check(audio, style, mask, future)
        audio = torch.where(mask[..., None], audio, 0.0)
        state = self._start(audio) if state is None else state
        heard = torch.cat([state["audio"], audio], 1)
        sound = heard if future is None else torch.cat([heard, future.to(heard.dtype)], 1)
        sound = functional.pad(sound, (0, 0, 0, heard.shape[1] + self.lookahead - sound.shape[1]))

        near = sound[:, self.history - self.reach : sound.shape[1] - self.lookahead + self.reach]
        face = self.linear(near.transpose(1, 2)).transpose(1, 2).float()
        features = None if self.trunk is None else self.trunk(sound, style)
        if features is not None:
            face = face + self.whole_face(features).float()
        gain = self._gain(style)[:, None]
        offset = self.offset(style).float()[:, None]
        following = {"audio": heard[:, heard.shape[1] - self.history :]}
        if self.head is None or features is None:
            return [face], gain, offset, following
        # No gradient through the teacher's frames: the gain must not adapt to make them easier to copy.
        teacher = None if target is None else ((target.float() - offset) / gain).detach()

        n = self.lower_face
        with _no_autocast(audio.device):  # steps are small: casts would cost more time than they save
            lower, hidden = self.head(
                features.float(),
                face[..., :n],
                state["hidden"],
                state["face"][:, -1, :n],
                None if teacher is None else teacher[..., :n],
                forced,
            )
        refined = torch.cat([lower, face[..., n:]], -1)
        past = torch.cat([state["face"], refined], 1)
        final = refined + self.postnet(past.transpose(1, 2)).transpose(1, 2).float()
        following |= {"hidden": hidden, "face": past[:, past.shape[1] - self.postnet_history :]}
        return [face, refined, final], gain, offset, following

    def _gain(self, style: Tensor) -> Tensor:
        """Gain (B, E) of styles (B, Z)."""
        return torch.exp(LARGEST_GAIN * torch.tanh(self.gain(style).float() / LARGEST_GAIN))

    def _start(self, audio: Tensor) -> State:
        batch = len(audio)
        sound = audio.new_zeros(batch, self.history, self.audio_size)
        if self.head is None:
            return {"audio": sound}
        return {
            "audio": sound,
            "hidden": audio.new_zeros(batch, self.head.width, dtype=torch.float32),
            "face": audio.new_zeros(batch, self.postnet_history, self.expression_size, dtype=torch.float32),
        }

    def _check(self, audio: Tensor, style: Tensor, mask: Tensor, future: Tensor | None) -> None:
        batch, length = mask.shape
        for name, tensor, shape in (
            ("audio", audio, (batch, length, self.audio_size)),
            ("style", style, (batch, self.style_size)),
        ):
            if tensor.shape != shape:
                raise ValueError(
                    f"{name} is {tuple(tensor.shape)}; with a mask of {(batch, length)} it must be {shape}"
                )
        if future is None:
            return
        if future.shape != (batch, future.shape[1], self.audio_size) or future.shape[1] > self.lookahead:
            raise ValueError(
                f"future is {tuple(future.shape)}; it must be ({batch}, at most {self.lookahead}, {self.audio_size})"
            )


@contextmanager
def _no_autocast(device: torch.device) -> Iterator[None]:
    if not torch.amp.is_autocast_available(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield
