"""Style encoder, flow and decoder as one model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..pipeline import Pipeline

LEAST_NOISE = 0.02
"""Smallest observation noise, relative to the leading coefficient's standard deviation, which is 1. Without this bound,
the loss would be dominated by the last digits of coefficients that hardly vary."""

LEAST_DEVIATION = 0.5
"""Smallest deviation by which an audio feature is divided, relative to the mean deviation of all (our choice)."""


class StyleModel(nn.Module):
    """Style encoder, flow and decoder, the observation noise of the expression, and the scale of the audio features.

    Each feature is standardised by its own deviation over the training footage: the closures of P, B and M are clearly
    visible but rare in posteriorgrams, and would otherwise be learned last. ``LEAST_DEVIATION`` limits this for
    features that vary little: otherwise, a phone that the footage lacks would be scaled a hundredfold when heard.
    """

    audio_mean: Tensor
    audio_std: Tensor

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.style, self.flow, self.decoder = pipeline.style, pipeline.flow, pipeline.decoder
        self.log_noise = nn.Parameter(torch.zeros(pipeline.sizes.expression))
        """ln of the observation noise of each coefficient (E,), learned (our choice)."""
        self.register_buffer("audio_mean", torch.zeros(pipeline.sizes.audio))
        self.register_buffer("audio_std", torch.ones(pipeline.sizes.audio))

    def expect(self, rows: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Set the scale of the audio features and the initial noise from training footage, and initialise the decoder.

        ``rows`` are expression (T, E), audio features (T, A) and mask (T,) of training clips. The initial noise is
        half of each coefficient's standard deviation, a level that training reaches soon.
        """
        expression, audio = (torch.cat([row[part][row[2]] for row in rows]) for part in (0, 1))
        self.log_noise.data = (0.5 * expression.std(0)).clamp_min(LEAST_NOISE).log().to(self.log_noise)
        deviation = audio.std(0)
        self.audio_mean.copy_(audio.mean(0))
        self.audio_std.copy_(deviation.clamp_min(LEAST_DEVIATION * float(deviation.mean())))
        self.decoder.start_from([(self.hear(heard), face, valid) for face, heard, valid in rows])

    def hear(self, audio: Tensor) -> Tensor:
        """Standardised audio features (B, T, A), the input of encoder and decoder."""
        return (audio - self.audio_mean) / self.audio_std

    @property
    def log_std(self) -> Tensor:
        """ln of the observation noise (E,), bounded below."""
        return self.log_noise.clamp_min(math.log(LEAST_NOISE))

    def code(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Tensor:
        """Style code z_K (B, Z) of a prompt, from the mean of the posterior."""
        posterior = self.style(expression, self.hear(audio), mask, heard)
        z: Tensor = self.flow(posterior.mean, posterior.context).z
        return z


@torch.no_grad()
def decode_whole(model: StyleModel, audio: Tensor, code: Tensor) -> Tensor:
    """Expression (T, E), on the CPU, of audio features (T, A) in a style (1, Z)."""
    device = code.device
    mask = torch.ones(1, len(audio), dtype=torch.bool, device=device)
    expression: Tensor = model.decoder(model.hear(audio[None].to(device)), code, mask).expression[0]
    return expression.float().cpu()
