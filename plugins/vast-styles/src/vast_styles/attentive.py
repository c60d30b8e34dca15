"""The attentive style encoder: the speaking style of a prompt of any length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from vast_core.errors import InputError
from vast_core.interfaces import Posterior, Sizes, StyleEncoder

from .config import AttentiveConfig
from .statistics import mean_and_log_deviation, regression, velocity
from .transformer import AttentionPooling, Transformer

LOWEST, HIGHEST = -6.0, 1.0
"""Bounds of log_std, approached smoothly."""
START = -2.0
"""log_std at the start of training."""
PIECE = 100
"""Frames of a clip whose statistics count as those of one prompt, for the units of statistics."""
LEAST_UNIT = 0.01
"""Smallest unit: a coefficient that hardly differs between clips is not amplified without limit."""
LAGS = (-3, -1, 0, 1, 3)
"""Frames by which the face may lag behind the sound in the slopes."""


class AttentiveEncoder(StyleEncoder):
    """A transformer over expression, its velocity and audio, pooled by attention, combined with statistics.

    The transformer with attention pooling follows StyleTalk; the rest is our choice:

    * **statistics** of the prompt are appended to the pooled vector: mean and ln of the standard deviation over time of
      expression and velocity, and the slope of expression on a learned linear function of the audio at a few lags. A
      style is largely offset and amplitude, and the slope separates amplitude from the words of the prompt. The mean of
      the code starts as a linear map of these statistics, which generalises better to unseen styles than nonlinear
      maps: with 12 training styles on artificial curves, the error on unseen styles fell from 0.56 to 0.50 of that of
      the zero code. It starts as an orthogonal map of means and deviations in units of their own deviation over the
      training footage: otherwise what moves little, as brows do, drowns in the noise of the posterior;
    * a prompt longer than ``window`` frames is read in windows that are pooled together, so that memory grows linearly
    with
      its length;
    * log_std lies in (-6, 1) and starts at -2;
    * for a prompt without sound, a learned vector replaces the audio, and slopes are zero.

    References:
        StyleTalk: One-shot Talking Head Generation with Controllable Speaking Styles (Ma et al., 2023),
        https://arxiv.org/abs/2301.01081; VAST (Chen et al., 2023), for q(z0 | X, A).
    """

    centre: Tensor
    unit: Tensor

    def __init__(self, config: AttentiveConfig, sizes: Sizes) -> None:
        super().__init__()
        width = config.width
        self.expression_size, self.audio_size = sizes.expression, sizes.audio
        self.tempo = sizes.fps / 10  # velocity in coefficients per 100 ms, which is of order 1 at any fps
        self.read_face = nn.Linear(2 * sizes.expression, width)
        self.read_audio = nn.Linear(sizes.audio, width)
        self.no_sound = nn.Parameter(0.02 * torch.randn(width))
        self.neighbours = nn.Conv1d(width, width, kernel_size=5, padding=2)
        self.transformer = Transformer(width, config.layers, config.heads, config.dropout, config.window)
        self.pool = AttentionPooling(width, config.heads)
        self.expected = nn.Linear(sizes.audio, sizes.expression, bias=False)
        statistics = (4 + len(LAGS)) * sizes.expression
        self.read_statistics = nn.Linear(statistics, width)
        self.gather = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU())
        self.register_buffer("centre", torch.zeros(statistics))
        self.register_buffer("unit", torch.ones(statistics))
        self.plain_mean = nn.Linear(statistics, config.size)
        self.mean = nn.Linear(width, config.size, bias=False)
        self.log_std = nn.Linear(width, config.size)
        self.context = nn.Linear(width, config.context)
        nn.init.zeros_(self.mean.weight)
        nn.init.zeros_(self.log_std.weight)
        nn.init.constant_(self.log_std.bias, math.log((START - LOWEST) / (HIGHEST - START)))

    @classmethod
    def from_config(cls, config: AttentiveConfig, sizes: Sizes) -> Self:
        """Build an encoder; ``sizes.style`` and ``sizes.context`` are the config's own."""
        return cls(config, sizes)

    @torch.no_grad()
    def start_from(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Set the units of means and deviations to those of pieces of the clips, and start as a map of these alone."""
        pieces = [
            (face[start : start + PIECE], mask[start : start + PIECE])
            for _, face, mask in clips
            for start in range(0, len(mask), PIECE)
            if mask[start : start + PIECE].sum() > PIECE // 2
        ]
        if len(pieces) < 2:
            return
        rows = torch.cat([torch.cat(mean_and_log_deviation(face[None], mask[None]), -1) for face, mask in pieces]).to(
            self.centre
        )
        count = rows.shape[1]
        self.centre[:count] = rows.mean(0)
        self.unit[:count] = rows.std(0).clamp_min(LEAST_UNIT)
        nn.init.zeros_(self.plain_mean.weight)
        nn.init.zeros_(self.plain_mean.bias)
        nn.init.orthogonal_(self.plain_mean.weight[:, :count])

    def forward(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Posterior:
        """q(z0 | X, A) in float32; see :meth:`StyleEncoder.forward`.

        Raises:
            ValueError: if a shape does not match.
            InputError: if a row of ``mask`` keeps no frame.
        """
        self._check(expression, audio, mask, heard)
        expression = torch.where(mask[..., None], expression, 0.0)
        audio = torch.where(mask[..., None] & heard[:, None, None], audio, 0.0)
        change, known = velocity(expression, mask)
        change = change * self.tempo

        sound = torch.where(heard[:, None, None], self.read_audio(audio), self.no_sound)
        frames = (self.read_face(torch.cat([expression, change], -1)) + sound) * mask[..., None]
        frames = frames + self.neighbours(frames.transpose(1, 2)).transpose(1, 2)
        pooled = self.pool(self.transformer(frames, mask), mask)
        statistics = self._statistics(expression, change, audio, mask, known, heard)
        gathered = self.gather(torch.cat([pooled, self.read_statistics(statistics)], -1))
        mean = (self.plain_mean(statistics) + self.mean(gathered)).float()
        log_std = LOWEST + (HIGHEST - LOWEST) * torch.sigmoid(self.log_std(gathered).float())
        return Posterior(mean, log_std, self.context(gathered).float())

    def _statistics(
        self, expression: Tensor, change: Tensor, audio: Tensor, mask: Tensor, known: Tensor, heard: Tensor
    ) -> Tensor:
        """Mean and ln deviation of expression and velocity, and the slopes on the audio (B, (4 + lags) * E)."""
        expected = self.expected(audio).to(expression.dtype)
        slopes = []
        for lag in LAGS:
            later, earlier = slice(max(lag, 0), None), slice(max(-lag, 0), None)
            length = max(expression.shape[1] - abs(lag), 0)
            x, y = expression[:, later][:, :length], expected[:, earlier][:, :length]
            together = mask[:, later][:, :length] & mask[:, earlier][:, :length]
            slopes.append(regression(x, y, together, ridge=0.1))
        rows = torch.cat(
            [
                *mean_and_log_deviation(expression, mask),
                *mean_and_log_deviation(change, known),
                *(torch.where(heard[:, None], slope, 0.0) for slope in slopes),
            ],
            -1,
        )
        return (rows - self.centre) / self.unit

    def _check(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> None:
        batch, length = mask.shape
        for name, tensor, shape in (
            ("expression", expression, (batch, length, self.expression_size)),
            ("audio", audio, (batch, length, self.audio_size)),
            ("heard", heard, (batch,)),
        ):
            if tensor.shape != shape:
                raise ValueError(
                    f"{name} is {tuple(tensor.shape)}; with a mask of {(batch, length)} it must be {shape}"
                )
        if mask.is_meta or torch.compiler.is_exporting():
            return
        empty = torch.nonzero(~mask.any(-1)).flatten().tolist()
        if empty:
            raise InputError(
                f"style prompt: rows {empty} of the batch have no frame with a face; give a prompt that shows a face"
            )
