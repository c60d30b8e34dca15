"""Style encoder, flow and decoder, and trained audio features, as one model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import DecoderOutput, FlowOutput, Posterior, State
from ..pipeline import Pipeline

__all__ = ["PROMPT_FRAMES", "StyleModel", "decode_whole"]

LEAST_NOISE = 0.02
"""Smallest observation noise, relative to the leading coefficient's standard deviation, which is 1. Without this bound,
the loss would be dominated by the last digits of coefficients that hardly vary."""

LEAST_DEVIATION = 0.5
"""Smallest deviation by which an audio feature is divided, relative to the mean deviation of all (our choice)."""

PROMPT_FRAMES = 1_500
"""Largest number of frames of a clip that are read as a prompt."""

_DRAWN_TOGETHER = 32
"""Frames whose noise is drawn from one seed."""


def folded(seed: int) -> int:
    """A seed whose upper bits count, too: torch's generator on the CPU reads the lower 32."""
    return seed + 0x9E3779B1 * (seed >> 32)


def frame_noise(width: int, start: int, stop: int, seed: int) -> Tensor:
    """Standard normal noise (1, T, N) of the frames from ``start`` to ``stop``, each the same in every chunk."""
    first = start // _DRAWN_TOGETHER
    blocks = []
    for block in range(first, -(-stop // _DRAWN_TOGETHER)):
        chance = torch.Generator().manual_seed((1_000_003 * folded(seed) + block) % 2**63)
        blocks.append(torch.randn(_DRAWN_TOGETHER, width, generator=chance))
    rows = torch.cat(blocks)[start - first * _DRAWN_TOGETHER :]
    return rows[None, : stop - start]


class StyleModel(nn.Module):
    """The parts that train together, the noise of the observed expression, and the scale of the audio features.

    Each feature is standardised by its own deviation over the training footage: the closures of P, B and M are clearly
    visible but rare in posteriorgrams, and would otherwise be learned last. ``LEAST_DEVIATION`` limits this for
    features that vary little: otherwise, a phone that the footage lacks would be scaled a hundredfold when heard.

    ``enhancer`` and ``reconstruct`` are the options of the style stage that trains it. A style code is always what the
    decoder was trained to read: zK, or z0 with ``reconstruct="z0"``.
    """

    audio_mean: Tensor
    audio_std: Tensor
    prior_mean: Tensor
    prior_factor: Tensor

    def __init__(
        self,
        pipeline: Pipeline,
        enhancer: Literal["variational", "deterministic"] = "variational",
        reconstruct: Literal["zK", "z0"] = "zK",
    ) -> None:
        super().__init__()
        self.enhancer: Literal["variational", "deterministic"] = enhancer
        self.reconstruct: Literal["zK", "z0"] = reconstruct
        self.style, self.flow, self.decoder = pipeline.style, pipeline.flow, pipeline.decoder
        self.audio = pipeline.audio if pipeline.audio.trainable else None
        """The audio features, if they are trained with the others."""
        self.log_noise = nn.Parameter(torch.zeros(pipeline.sizes.expression))
        """ln of the observation noise of each coefficient (E,), learned (our choice)."""
        self.register_buffer("audio_mean", torch.zeros(pipeline.sizes.audio))
        self.register_buffer("audio_std", torch.ones(pipeline.sizes.audio))
        self.register_buffer("prior_mean", torch.zeros(pipeline.sizes.style))
        self.register_buffer("prior_factor", torch.eye(pipeline.sizes.style))

    def expect(
        self, rows: Sequence[tuple[Tensor, Tensor, Tensor]], prompts: Sequence[tuple[Tensor, Tensor, Tensor]]
    ) -> None:
        """Set the scale of the audio features and the initial noise from training footage, and initialise decoder and
        style encoder, before weights are trained from scratch.

        ``rows`` are expression (T, E), audio features (T, A) and mask (T,) of training clips to reconstruct,
        ``prompts`` of those that show styles. The initial noise is half of each coefficient's standard deviation, a
        level that training reaches soon.
        """
        expression, audio = (torch.cat([row[part][row[2]] for row in rows]) for part in (0, 1))
        self.log_noise.data = (0.5 * expression.std(0)).clamp_min(LEAST_NOISE).log().to(self.log_noise)
        deviation = audio.std(0)
        self.audio_mean.copy_(audio.mean(0))
        self.audio_std.copy_(deviation.clamp_min(LEAST_DEVIATION * float(deviation.mean())))
        self.decoder.start_from([(self.hear(heard), face, valid) for face, heard, valid in rows])
        self.style.start_from([(self.hear(heard), face, valid) for face, heard, valid in prompts])

    def adapt(self, rows: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Adapt the decoder, which has weights of another run, to training footage; ``rows`` as in :meth:`expect`.

        The style of each clip is its own: what a prompt's amplitude is in these weights must not be learned again.
        """
        styles = [self.prior_mean if self.style.reads == "labels" else self._own_code(*row) for row in rows]
        self.decoder.adapt_to([(self.hear(heard), face, valid) for face, heard, valid in rows], torch.stack(styles))

    @torch.no_grad()
    def _own_code(self, expression: Tensor, audio: Tensor, mask: Tensor) -> Tensor:
        """Style code (Z,) of a clip (T, ...) as its own prompt."""
        face, heard, valid = (part[None, :PROMPT_FRAMES] for part in (expression, audio, mask))
        training = self.training
        code = self.eval().code(face, heard, valid, torch.ones(1, dtype=torch.bool))[0]
        self.train(training)
        return code

    def hear(self, audio: Tensor) -> Tensor:
        """Standardised audio features (B, T, A), the input of encoder and decoder."""
        return (audio - self.audio_mean) / self.audio_std

    @property
    def log_std(self) -> Tensor:
        """ln of the observation noise (E,), bounded below."""
        return self.log_noise.clamp_min(math.log(LEAST_NOISE))

    def speak(
        self,
        audio: Tensor,
        code: Tensor,
        mask: Tensor,
        state: State | None = None,
        future: Tensor | None = None,
        *,
        start: int = 0,
        seed: int = 0,
    ) -> DecoderOutput:
        """Decode audio features (B, T, A), whose first frame has the number ``start``, in a style (B, Z).

        ``future`` (B, L, A) has the features after these. The noise of a stochastic decoder depends only on ``seed``
        and the number of the frame, so that a chunk gets the same noise as the whole.
        """
        given: dict[str, Tensor] = {}
        if self.decoder.noise:
            stop = start + audio.shape[1] + (0 if future is None else future.shape[1])
            noise = frame_noise(self.decoder.noise, start, stop, seed).to(audio)
            given["noise"] = noise.expand(len(audio), -1, -1)
        ahead = None if future is None else self.hear(future)
        output: DecoderOutput = self.decoder(self.hear(audio), code, mask, state, ahead, **given)
        return output

    def posterior(
        self,
        expression: Tensor,
        audio: Tensor,
        mask: Tensor,
        heard: Tensor,
        labels: Sequence[str | None] | None = None,
    ) -> Posterior:
        """q(z0 given X, A) of B prompts; for rows whose label is not None, q(z0 given the label) instead."""
        labelled = [row for row, label in enumerate(labels or ()) if label is not None]
        if len(labelled) == len(mask):
            named: Posterior = self.style.read_labels([label for label in labels or () if label is not None])
            return named
        shown: Posterior = self.style(expression, self.hear(audio), mask, heard)
        if not labelled:
            return shown
        named = self.style.read_labels([label for label in labels or () if label is not None])
        rows = torch.tensor(labelled, device=mask.device)
        return Posterior(
            shown.mean.index_copy(0, rows, named.mean.to(shown.mean)),
            shown.log_std.index_copy(0, rows, named.log_std.to(shown.log_std)),
            shown.context.index_copy(0, rows, named.context.to(shown.context)),
        )

    def code(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Tensor:
        """Style code (B, Z) of a prompt, at the posterior's mean.

        Raises :class:`InputError` if the style encoder reads only labels.
        """
        if self.style.reads == "labels":
            raise InputError(f"a clip is no prompt here: the run's style encoder reads only labels{self._known()}")
        return self.code_of(self.posterior(expression, audio, mask, heard))

    def code_of_label(self, label: str) -> Tensor:
        """Style code (1, Z) of a label or words, at the posterior's mean.

        Raises :class:`InputError` if the style encoder reads only clips, or does not know the label.
        """
        if self.style.reads == "clips":
            raise InputError(f"label {label!r}: the run's style encoder reads only clips; name a video of this style")
        if self.style.vocabulary and label not in self.style.vocabulary:
            raise InputError(f"label {label!r} is unknown{self._known()}")
        return self.code_of(self.style.read_labels([label]))

    def _known(self) -> str:
        known = ", ".join(self.style.vocabulary)
        return f"; it knows the labels {known}" if known else ""

    def draw(self, posterior: Posterior) -> Tensor:
        """z0 (B, Z) in training: a sample of the posterior, or its mean without the variational enhancer."""
        if self.enhancer == "deterministic":
            return posterior.mean
        return posterior.sample(torch.randn_like(posterior.mean))

    def chosen(self, z0: Tensor, flowed: FlowOutput) -> Tensor:
        """Of z0 and zK (B, Z), the code that the decoder reads."""
        return z0 if self.reconstruct == "z0" else flowed.z

    def code_of(self, posterior: Posterior) -> Tensor:
        """Style code (B, Z) at the mean of a posterior."""
        return self.chosen(posterior.mean, self.flow(posterior.mean, posterior.context))

    @property
    def has_prior(self) -> bool:
        """Whether training holds the style code to p(z) = N(0, I), so that this is the density of codes.

        Without the variational enhancer nothing does. With ``reconstruct="z0"``, p(zK) is N(0, I), and z0 has it only
        if the flow is orthogonal; any other flow depends on the prompt, so that z0 has no density without one.
        """
        return self.enhancer == "variational" and (self.reconstruct == "zK" or self.flow.orthogonal)

    def fit_prior(self, codes: Tensor) -> None:
        """Set the density of codes to the Gaussian of style codes (N, Z) drawn from training clips.

        For models without :attr:`has_prior`: M. Ghosh et al., From variational to deterministic autoencoders, 2020,
        section 4, with one Gaussian.
        """
        centred = (codes - codes.mean(0)).double()
        values, vectors = torch.linalg.eigh(centred.mT @ centred / len(codes))
        self.prior_mean.copy_(codes.mean(0))
        self.prior_factor.copy_(vectors * values.clamp_min(0).sqrt() @ vectors.mT)

    def code_from(self, noise: Tensor) -> Tensor:
        """Style codes (B, Z) drawn from the density of codes, N(0, I) by default, with standard normal ``noise``."""
        return self.prior_mean + noise @ self.prior_factor


@torch.no_grad()
def decode_whole(model: StyleModel, audio: Tensor, code: Tensor) -> Tensor:
    """Expression (T, E), on the CPU, of audio features (T, A) in a style (1, Z)."""
    device = code.device
    mask = torch.ones(1, len(audio), dtype=torch.bool, device=device)
    expression: Tensor = model.speak(audio[None].to(device), code, mask).expression[0]
    return expression.float().cpu()
