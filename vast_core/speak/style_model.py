"""The three parts that train together, as they are used."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..pipeline import Pipeline

LEAST_NOISE = 0.02
"""Of the leading coefficient's standard deviation, which is 1: finer detail than that is not worth learning, and a
coefficient that hardly varies would else draw all attention to its last digits."""

LEAST_DEVIATION = 0.5
"""Of an audio feature, as a share of the mean deviation of all: by no less is it standardised (our choice)."""


class StyleModel(nn.Module):
    """The three parts that train together, the noise of the observed expression, and the scale of the audio features.

    Features are standardised, each by its own deviation over the training footage: the closures of P, B and M, which
    everyone sees, are rare in posteriorgrams, and would else be learned last. What varies less than most (see
    ``LEAST_DEVIATION``) is not raised as far: a phone that the footage lacks would come a hundredfold when it is heard.
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
        """Take the scale of the audio features, and where the noise starts, from the training footage.

        ``rows`` are expression (T, E), audio features (T, A) and mask (T,) of training clips. The noise starts at half
        of what each coefficient varies by: an explained half is soon reached.
        """
        expression, audio = (torch.cat([row[part][row[2]] for row in rows]) for part in (0, 1))
        self.log_noise.data = (0.5 * expression.std(0)).clamp_min(LEAST_NOISE).log().to(self.log_noise)
        deviation = audio.std(0)
        self.audio_mean.copy_(audio.mean(0))
        self.audio_std.copy_(deviation.clamp_min(LEAST_DEVIATION * float(deviation.mean())))
        self.decoder.start_from([(self.hear(heard), face, valid) for face, heard, valid in rows])

    def hear(self, audio: Tensor) -> Tensor:
        """Audio features (B, T, A) standardised, as encoder and decoder want them."""
        return (audio - self.audio_mean) / self.audio_std

    @property
    def log_std(self) -> Tensor:
        """The noise in use, bounded below."""
        return self.log_noise.clamp_min(math.log(LEAST_NOISE))

    def code(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Tensor:
        """Style code z_K (B, Z) of a prompt, at the posterior's mean."""
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
