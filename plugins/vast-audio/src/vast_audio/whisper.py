"""Phones by the encoder of Whisper and a small head, in plain torch: the teacher of ``audio/ppg``.

A. Radford, J. W. Kim, T. Xu, G. Brockman, C. McLeavey and I. Sutskever, Robust speech recognition via large-scale weak
supervision, 2022. Modules have the names of the official release (``openai/whisper-tiny.en``, MIT), so its tensors fit
by name; the head is ours.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.errors import WeightsError
from vast_core.interfaces import SAMPLE_RATE
from vast_core.phones import PHONES
from vast_core.runs import load_into

from .spectrum import full_precision
from .whisper_weights import WhisperWeights, find_whisper

STEP = 320
"""Samples between steps: 20 ms."""
CENTRE = 160
"""Samples from the beginning of the sound to the middle of step 0, as the head was trained (also the most accurate)."""
LONGEST = 30
"""Seconds for which the encoder has positions."""
_HOP, _FFT = 160, 400
HEAD_WIDTH = 64
"""Width of one attention head, in every size of Whisper."""


def mel_filters(bands: int) -> Tensor:
    """Slaney's mel filters (201, bands) from 0 to 8 kHz, each with unit area over Hz, as in Whisper's release.

    The scale is 3 Hz / 200 up to 1 kHz and 15 + 27 ln(Hz / 1000) / ln(6.4) above.
    """
    top = 15 + 27 * math.log(SAMPLE_RATE / 2 / 1000) / math.log(6.4)
    mels = np.linspace(0, top, bands + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * math.log(6.4) / 27))
    bins = np.arange(_FFT // 2 + 1)[:, None] * SAMPLE_RATE / _FFT
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return torch.from_numpy(filters.astype(np.float32))


def positions(width: int) -> Tensor:
    """Sinusoidal position encodings (1500, ``width``) of every step up to :data:`LONGEST` seconds."""
    angles = torch.arange(LONGEST * SAMPLE_RATE // STEP)[:, None] * torch.logspace(0, -4, width // 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class LogMel(nn.Module):
    """Whisper's input: (max(x, max x - 8) + 4) / 4 with x = lg of the energy in mel bands, 100 windows per second.

    The maximum is over the whole input, so a piece differs from the same sound in a longer wave.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(_FFT), persistent=False)
        self.register_buffer("filters", mel_filters(bands), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Features (B, bands, S / 160), float32, of wave (B, S), S a multiple of 160 and at least 320."""
        with full_precision(wave):
            padded = functional.pad(wave.float()[:, None], (_FFT // 2, _FFT // 2), mode="reflect")[:, 0]
            windows = padded.unfold(1, _FFT, _HOP)[:, :-1] * self.window
            spectrum = torch.fft.rfft(windows)
            energy = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
            level = energy.clamp_min(1e-10).log10()
            level = torch.maximum(level, level.amax((1, 2), keepdim=True) - 8)
            return ((level + 4) / 4).transpose(1, 2)


class SelfAttention(nn.Module):
    """Softmax attention of every step to every other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, width) to the same shape."""
        q, k, v = (
            proj(x).unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.out_proj(mixed)
        return out


class Layer(nn.Module):
    """Self-attention, then an MLP per step; both with pre-normalisation and a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn = SelfAttention(width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, width) to the same shape."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        out: Tensor = x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return out


class Encoder(nn.Module):
    """Whisper's encoder. Its input is not padded to 30 s, unlike that of the original recogniser."""

    positions: Tensor

    def __init__(self, bands: int = 80, width: int = 384, layers: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(bands, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(width)
        self.register_buffer("positions", positions(width), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Map log-mel (B, bands, 2 N) at 100 Hz to (B, N, width) at 50 Hz, N at most 1500."""
        out: Tensor = self.layer_norm(self.lower_end(mel, len(self.layers)))
        return out

    def lower_end(self, mel: Tensor, layers: int) -> Tensor:
        """Output of the first ``layers`` layers, (B, N, width)."""
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers[:layers]:
            x = layer(x)
        return x


class PhoneHead(nn.Module):
    """Logits of the phones from the encoder's output, normalised by fixed statistics; sees 4 steps on either side."""

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int = 384, width: int = 192) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.a = nn.Conv1d(inputs, width, 3, padding=1)
        self.b = nn.Conv1d(width, width, 3, padding=1)
        self.c = nn.Conv1d(width, width, 3, padding=2, dilation=2)
        self.o = nn.Conv1d(width, len(PHONES), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, inputs) to (B, N, 40)."""
        x = functional.relu(self.a(((x - self.mean) / self.std).transpose(1, 2)))
        x = x + functional.relu(self.b(x))
        x = x + functional.relu(self.c(x))
        logits: Tensor = self.o(x)
        return logits.transpose(1, 2)


class WhisperPhones(nn.Module):
    """Logits of the phones 50 times a second, from the whole of a wave of up to 30 s. Frozen.

    ``weights`` names the file; if None, :func:`vast_audio.whisper_weights.find_whisper` searches for it.
    Raises :class:`vast_core.errors.WeightsError` if there is none, or a wrong one.
    """

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        if torch.get_default_device().type == "meta":  # the meta device only asks for shapes
            self.mel, self.encoder, self.head = LogMel(80), Encoder(), PhoneHead()
        else:
            self._load(find_whisper(weights))
        self.requires_grad_(False)

    def _load(self, found: WhisperWeights) -> None:
        width, bands, _ = found.encoder["conv1.weight"].shape
        layers = len({name.split(".")[1] for name in found.encoder if name.startswith("layers.")})
        hidden, inputs, _ = found.head["a.weight"].shape
        if inputs != width:
            raise WeightsError(f"{found.origin}: the encoder has width {width}, but the head expects {inputs}")
        self.mel, self.encoder, self.head = LogMel(bands), Encoder(bands, width, layers), PhoneHead(inputs, hidden)
        load_into(self.encoder, found.encoder, found.origin)
        load_into(self.head, found.head, found.origin)

    def forward(self, wave: Tensor) -> Tensor:
        """Logits (B, N, 40) of wave (B, S) at 16 kHz; N = S / 320, rounded up, and step n belongs to (n + 1/2) / 50 s.

        The columns are those of :data:`vast_core.phones.PHONES`. Raises ValueError if S is 0 or more than 30 s.
        """
        samples = wave.shape[1]
        if not 0 < samples <= LONGEST * SAMPLE_RATE:
            raise ValueError(
                f"{samples / SAMPLE_RATE:.2f} s of sound; the encoder takes between 1 sample and {LONGEST} s"
            )
        whole = functional.pad(wave, (0, -samples % STEP))
        logits: Tensor = self.head(self.encoder(self.mel(whole)))
        return logits
