"""The generator of section 2 of the supplementary, with optional additions for sharper pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convlstm import ConvLstm

_GROUP = 16
"""Channels that GroupNorm normalises together."""


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation, leaky ReLU.

    GroupNorm instead of BatchNorm: a batch here is one or two runs of nearly equal frames, whose statistics differ from
    those of the clip. GroupNorm also computes the same in training and at inference, frame by frame, so chunks equal
    the whole clip, and it has no running averages that EMA or bf16 could degrade.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2),
        nn.GroupNorm(max(1, outputs // _GROUP), outputs),
        nn.LeakyReLU(0.2),
    )


def _enlarging(inputs: int, outputs: int, times: int, shuffle: bool) -> nn.Module:
    """A layer that makes a picture ``times`` as large."""
    if not shuffle:
        return nn.ConvTranspose2d(inputs, outputs, 2 * times, stride=times, padding=times // 2)
    group = times * times
    convolution = nn.Conv2d(inputs, group * outputs, 3, padding=1)
    with torch.no_grad():
        for parameter in convolution.parameters():
            parameter.copy_(parameter[::group].repeat_interleave(group, 0))
    return nn.Sequential(convolution, nn.PixelShuffle(times))


class Generator(nn.Module):
    """Encoder, fusion with the audio, conv-LSTM, decoder.

    ``images -> conv /2 -> conv /2 -> conv /2 -> [. , PPG] -> 4 conv -> conv-LSTM -> transposed x2 -> transposed x4``

    The paper's three stride-2 convolutions reduce the size to an eighth, and two stride-2 transposed convolutions would
    only restore a half, so the second one here has stride 4: a necessary deviation from the paper. Widths, kernels,
    normalisation and the linear layer for the audio are our choice.

    Transposed convolutions, most of all the one with stride 4, leave the pattern of their grid at edges. With
    ``shuffle`` (ours), a convolution at the lower size gives all pixels of a group instead, from equal initial weights.

    With ``skips`` (ours), the fused features bypass the LSTM, the encoder's features at a quarter of the size go to the
    second transposed convolution, and the images themselves to two last convolutions at full size.
    """

    def __init__(self, *, images: int, audio: int, width: int, skips: bool, shuffle: bool) -> None:
        super().__init__()
        self.skips = skips
        bottleneck = 4 * width
        self.encoder = nn.ModuleList(
            [
                _block(images, width, kernel=5, stride=2),
                _block(width, 2 * width, stride=2),
                _block(2 * width, bottleneck, stride=2),
            ]
        )
        self.audio = nn.Sequential(nn.Linear(audio, 2 * width), nn.LeakyReLU(0.2))
        self.fusion = nn.Sequential(
            _block(bottleneck + 2 * width, bottleneck),
            _block(bottleneck, bottleneck),
            _block(bottleneck, bottleneck),
            _block(bottleneck, bottleneck),
        )
        self.memory = ConvLstm(bottleneck, bottleneck)
        self.decoder = nn.ModuleList(
            [
                nn.Sequential(
                    _enlarging(bottleneck, 2 * width, 2, shuffle),
                    nn.GroupNorm(max(1, 2 * width // _GROUP), 2 * width),
                    nn.LeakyReLU(0.2),
                ),
                _enlarging((4 if skips else 2) * width, width // 2 if skips else 3, 4, shuffle),
            ]
        )
        self.detail = (
            nn.Sequential(
                nn.Conv2d(width // 2 + images, 16, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(16, 3, 3, padding=1),
            )
            if skips
            else None
        )
        self.to(memory_format=torch.channels_last)

    def forward(
        self, images: Tensor, audio: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Picture or residual (B, T, 3, Y, X), unbounded, from ``images`` (B, T, C, Y, X) and ``audio`` (B, T, A)."""
        shape = images.shape[:2]
        images = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        quarter = self.encoder[1](self.encoder[0](images))
        eighth = self.encoder[2](quarter)
        spoken = self.audio(audio).flatten(0, 1)[..., None, None].expand(-1, -1, *eighth.shape[-2:])
        fused = self.fusion(torch.cat([eighth, spoken], dim=1))
        remembered, state = self.memory(fused.unflatten(0, shape), state)
        remembered = remembered.flatten(0, 1)
        if self.detail is None:
            picture = self.decoder[1](self.decoder[0](remembered))
        else:
            coarse = self.decoder[0](remembered + fused)
            fine = F.leaky_relu(self.decoder[1](torch.cat([coarse, quarter], dim=1)), 0.2)
            picture = self.detail(torch.cat([fine, images], dim=1))
        return picture.float().reshape(*shape, *picture.shape[1:]), state
