"""The pretrained models of ``torchaudio.pipelines`` that may be used freely, listed without importing torchaudio.

All are released under the MIT licence. Those under CC BY-NC, ``VOXPOPULI_*`` and ``MMS_FA``, are left out: an avatar
that speaks with them could not be used commercially.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Bundle:
    """Widths of one pretrained model."""

    layers: int
    width: int
    letters: int | None = None
    """Number of logits, of which the blank is the first; None if the model was not trained to transcribe."""
    repository: str | None = None
    """Repository that has the same weights in safetensors, as ``model.safetensors``."""


_BASE, _LARGE = Bundle(12, 768), Bundle(24, 1024)

BUNDLES: Mapping[str, Bundle] = {
    "WAV2VEC2_BASE": _BASE,
    "WAV2VEC2_LARGE": _LARGE,
    "WAV2VEC2_LARGE_LV60K": _LARGE,
    "WAV2VEC2_XLSR53": _LARGE,
    "WAV2VEC2_XLSR_300M": _LARGE,
    "WAV2VEC2_XLSR_1B": Bundle(48, 1280),
    "WAV2VEC2_XLSR_2B": Bundle(48, 1920),
    "WAV2VEC2_ASR_BASE_10M": Bundle(12, 768, 29),
    "WAV2VEC2_ASR_BASE_100H": Bundle(12, 768, 29),
    "WAV2VEC2_ASR_BASE_960H": Bundle(12, 768, 29, "facebook/wav2vec2-base-960h"),
    "WAV2VEC2_ASR_LARGE_10M": Bundle(24, 1024, 29),
    "WAV2VEC2_ASR_LARGE_100H": Bundle(24, 1024, 29),
    "WAV2VEC2_ASR_LARGE_960H": Bundle(24, 1024, 29),
    "WAV2VEC2_ASR_LARGE_LV60K_10M": Bundle(24, 1024, 29),
    "WAV2VEC2_ASR_LARGE_LV60K_100H": Bundle(24, 1024, 29),
    "WAV2VEC2_ASR_LARGE_LV60K_960H": Bundle(24, 1024, 29),
    "HUBERT_BASE": _BASE,
    "HUBERT_LARGE": _LARGE,
    "HUBERT_XLARGE": Bundle(48, 1280),
    "HUBERT_ASR_LARGE": Bundle(24, 1024, 29),
    "HUBERT_ASR_XLARGE": Bundle(48, 1280, 29),
    "WAVLM_BASE": _BASE,
    "WAVLM_BASE_PLUS": _BASE,
    "WAVLM_LARGE": _LARGE,
}
"""By their names in ``torchaudio.pipelines``."""
