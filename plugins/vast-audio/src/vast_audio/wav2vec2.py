"""``audio/wav2vec2``: logits or a hidden layer of torchaudio's wav2vec 2.0, HuBERT and WavLM, one row per video
frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from vast_core.errors import ComponentError
from vast_core.interfaces import AudioFeatures, Sizes
from vast_core.runs import load_into

from .blocks import BLOCK, Blocks
from .config import Wav2Vec2Config
from .spectrum import full_precision
from .wav2vec2_weights import find_wav2vec2, read_wav2vec2

_REACH = 2.0
"""Seconds of context on either side of a block, as in ``audio/ppg_whisper``."""
_STEP, _FIELD = 320, 400
"""Samples between steps, and samples in the receptive field of the convolutions."""


class Wav2Vec2(AudioFeatures):
    """Row t is the network's output around t / fps seconds: its letter logits, or its ``layer``-th hidden layer.

    A. Baevski, H. Zhou, A. Mohamed and M. Auli, wav2vec 2.0: a framework for self-supervised learning of speech
    representations, 2020. The network is torchaudio's, built and called as by its pipeline, and frozen.
    :mod:`vast_audio.blocks` describes how windows become rows. Weights are read from safetensors only, never from a
    pickle.
    """

    block = BLOCK

    def __init__(self, fps: float, bundle: str, layer: int | None, weights: Path | None) -> None:
        super().__init__()
        known = _bundle(bundle)
        self.layer = layer
        self.normalises: bool = known._normalize_waveform
        self.network = _network(known, logits=layer is None)
        if torch.get_default_device().type != "meta":  # the meta device only asks for shapes
            file = find_wav2vec2(bundle, weights)
            load_into(self.network, read_wav2vec2(file, known, logits=layer is None), file)
        self.blocks = Blocks(fps, reach=_REACH, step=_STEP, centre=_FIELD / 2, extra=_FIELD - _STEP)
        self.receptive_field = self.blocks.receptive_field
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_config(cls, config: Wav2Vec2Config, sizes: Sizes) -> Self:
        """Build for the recipe's frame rate.

        Raises :class:`vast_core.errors.ComponentError` if torchaudio cannot be imported, and
        :class:`vast_core.errors.WeightsError` if there are no weights, or those of another model.
        """
        return cls(sizes.fps, config.bundle, config.layer, config.weights)

    @classmethod
    def files(cls, config: Wav2Vec2Config) -> list[Path]:
        """The weights that it reads; raises as :meth:`from_config` where there are none."""
        return [find_wav2vec2(config.bundle, config.weights)]

    def train(self, mode: bool = True) -> Self:
        """Keep the network in evaluation mode, without dropout: it is frozen."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Features (B, T, A), float32, of wave (B, S); see :class:`vast_core.interfaces.AudioFeatures`."""
        rows: Tensor = self.blocks(wave, frames, self._steps)
        return rows

    def _steps(self, windows: Tensor) -> Tensor:
        """Features (W, N, A) of windows (W, S)."""
        if self.normalises:
            with full_precision(windows):
                windows = functional.layer_norm(windows.float(), windows.shape[1:])
        if self.layer is None:
            logits: Tensor = self.network(windows)[0]
            return logits
        hidden: list[Tensor] = self.network.extract_features(windows, None, self.layer)[0]
        return hidden[-1]


def _bundle(name: str) -> Any:
    try:
        from torchaudio import pipelines
    except (ImportError, OSError) as error:  # OSError: built for another release of torch or CUDA
        raise ComponentError(
            f"audio/wav2vec2 needs torchaudio, which cannot be imported ({error}); pip install 'vast-avatar[wav2vec2]'"
        ) from error
    return getattr(pipelines, name)


def _network(bundle: Any, *, logits: bool) -> Any:
    """The bundle's architecture, with or without the layer of its logits."""
    from torchaudio.models import wav2vec2_model, wavlm_model

    make = {"Wav2Vec2": wav2vec2_model, "WavLM": wavlm_model}[bundle._model_type]
    return make(**bundle._params | ({} if logits else {"aux_num_out": None}))
