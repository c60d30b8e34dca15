"""Search for the encoder of Whisper tiny.en, the names of its tensors, and a check that it is the official one.

It is read from safetensors only: either the release ``openai/whisper-tiny.en`` as ``model.safetensors`` (its decoder is
ignored), combined with the phone head in this package, or one file with encoder and head.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import attrs
from torch import Tensor

from vast_core.errors import WeightsError
from vast_core.phones import PHONES
from vast_core.runs import find_file, load_weights, read_tensors, suggested_folder

REPOSITORY = "openai/whisper-tiny.en"
"""Repository of the official release."""
NAMES = ("ppg_whisper_tiny_en_arpa40.safetensors", "whisper-tiny.en/model.safetensors", "whisper-tiny.en.safetensors")
"""Files that are searched for, relative to ``VAST_WEIGHTS`` and to the cache."""
HEAD = Path(__file__).with_name("whisper_head.safetensors")
"""The phone head inside the package; its header lists the training data."""
DIGEST = "a5888a57b5564c07eba5d2592b6b53a5209d4a0e231b8f9a13e247511caf167e"
"""Digest of the official encoder, computed by :func:`encoder_digest`."""

_POSITIONS = "embed_positions.weight"
"""Sines with a closed form, which implementations round differently: computed, never read."""
_COMBINED = (
    (r"layer_(\d+)/", r"layers.\1."),
    ("self_attention/layer_norm/", "self_attn_layer_norm."),
    ("self_attention/linear_0/", "self_attn.qkv_proj."),
    ("self_attention/linear_1/", "self_attn.out_proj."),
    ("ffn/layer_norm/", "final_layer_norm."),
    ("ffn/linear_0/", "fc1."),
    ("ffn/linear_1/", "fc2."),
    ("position_encodings/encodings", _POSITIONS),
    ("gamma$", "weight"),
    ("beta$", "bias"),
    ("/", "."),
)
"""Replacements from the names in a file with encoder and head, those of CTranslate2, to the official names."""


@attrs.frozen(kw_only=True, eq=False)
class WhisperWeights:
    """Tensors in float32, under their names in :mod:`vast_audio.whisper`."""

    encoder: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    origin: Path
    """File from which the encoder was read."""


def find_whisper(path: Path | None = None) -> WhisperWeights:
    """The encoder at ``path`` (a file, or a folder with one), in the folder ``VAST_WEIGHTS``, or in the cache.

    Raises :class:`vast_core.errors.WeightsError`: if nothing is found, with the places that were searched and
    instructions; if the file is damaged or holds another encoder, with its name.
    """
    get = f"hf download {REPOSITORY} model.safetensors --local-dir {suggested_folder() / NAMES[1].partition('/')[0]}"
    how = f"Download model.safetensors of {REPOSITORY} (MIT, 151 MB), for example with\n  {get}\n"
    return read_whisper(find_file(NAMES, path, "the encoder of Whisper tiny.en", how))


def read_whisper(file: Path) -> WhisperWeights:
    """Encoder and head of one file; the package's head if it has none. Raises the errors of :func:`find_whisper`."""
    tensors, metadata = read_tensors(file, unwanted=("model.decoder.", "decoder."))
    labels = tuple(metadata.get("phones", "").split())
    if any(name.startswith("enc.") for name in tensors):
        encoder = _from_combined(tensors)
    else:
        found = ((re.fullmatch(r"(?:model\.)?encoder\.(.+)", name), tensor) for name, tensor in tensors.items())
        encoder = {match[1]: tensor for match, tensor in found if match}
    encoder.pop(_POSITIONS, None)
    if "conv1.weight" not in encoder:
        raise WeightsError(f"{file}: has no Whisper encoder (no model.encoder.conv1.weight); see {REPOSITORY}")
    if (digest := encoder_digest(encoder)) != DIGEST:
        raise WeightsError(
            f"{file}: not the encoder of {REPOSITORY} that the phone head was trained on: its digest is "
            f"{digest}, not {DIGEST}; it may be of another size or language, or quantised. Name the official file"
        )
    if not any(name.startswith("head.") for name in tensors):
        tensors, header = load_weights(HEAD)
        labels = tuple(header["phones"])
    if labels != PHONES:
        raise WeightsError(f"{file}: its head has the labels {' '.join(labels) or '(none)'}, not {' '.join(PHONES)}")
    parts = ((name.partition("."), tensor.float()) for name, tensor in tensors.items())
    head = {name: tensor for (part, _, name), tensor in parts if part in ("head", "norm")}
    return WhisperWeights(encoder=encoder, head=head, origin=file)


def encoder_digest(encoder: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensors in float16, little-endian, in the order of their names, without positions.

    OpenAI published the values as float16, so every lossless container of them has the same digest.
    """
    digest = hashlib.sha256()
    for name in sorted(encoder):
        digest.update(f"{name} {tuple(encoder[name].shape)}\n".encode())
        digest.update(encoder[name].half().contiguous().numpy().astype("<f2").tobytes())
    return digest.hexdigest()


def _from_combined(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Encoder tensors under their official names; query, key and value are one tensor in the file."""
    encoder: dict[str, Tensor] = {}
    for given, tensor in tensors.items():
        if not given.startswith("enc."):
            continue
        name = given.removeprefix("enc.")
        for old, new in _COMBINED:
            name = re.sub(old, new, name)
        if "qkv_proj" in name:
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                encoder[name.replace("qkv_proj", f"{letter}_proj")] = part.contiguous()
        else:
            encoder[name] = tensor
    # keys have no bias: it would cancel in the softmax
    return {name: tensor for name, tensor in encoder.items() if not name.endswith("k_proj.bias")}
