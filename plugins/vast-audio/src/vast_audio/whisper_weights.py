"""Where the encoder of Whisper tiny.en is found, how its tensors are called, and whether it is the official one.

It is read from safetensors only: the release ``openai/whisper-tiny.en`` as ``model.safetensors`` (the decoder in it is
not looked at), to which the phone head in this package is added, or one file with encoder and head.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import torch
from platformdirs import user_cache_dir
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vast_core.errors import WeightsError
from vast_core.phones import PHONES
from vast_core.weights import load_weights

NAMES = ("ppg_whisper_tiny_en_arpa40.safetensors", "whisper-tiny.en/model.safetensors", "whisper-tiny.en.safetensors")
"""Files that are looked for, relative to ``VAST_WEIGHTS`` and to the cache."""
VARIABLE = "VAST_WEIGHTS"
HEAD = Path(__file__).with_name("whisper_head.safetensors")
"""The phone head inside the package; its header says what it was trained on."""
DIGEST = "a5888a57b5564c07eba5d2592b6b53a5209d4a0e231b8f9a13e247511caf167e"
"""Of the official encoder, as :func:`encoder_digest` computes it."""

_POSITIONS = "embed_positions.weight"
"""Sines in a closed form, which every implementation rounds its own way: computed, never read."""
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
"""From the names of a file with encoder and head, those of CTranslate2, to the official ones."""


@attrs.frozen(kw_only=True, eq=False)
class WhisperWeights:
    """Tensors in float32, by their names in :mod:`vast_audio.whisper`."""

    encoder: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    origin: Path
    """File that the encoder was read from."""


def find_whisper(path: Path | None = None) -> WhisperWeights:
    """The encoder at ``path`` (a file, or a folder with one), in the folder ``VAST_WEIGHTS``, or in the cache.

    Raises :class:`vast_core.errors.WeightsError`, saying where it was looked for and how to get it, where it is
    nowhere, and naming the file where that is damaged or holds another encoder.
    """
    if path is not None:
        places = [path / name for name in (*NAMES, "model.safetensors")] if path.is_dir() else [path]
    else:
        folders = [os.environ.get(VARIABLE), user_cache_dir("vast")]
        places = [Path(folder) / name for folder in folders if folder for name in NAMES]
    for file in places:
        if file.is_file():
            return read_whisper(file)
    unset = "" if os.environ.get(VARIABLE) else " (which is not set)"
    raise WeightsError(
        "the encoder of Whisper tiny.en is at none of these places:\n"
        + "".join(f"  {file}\n" for file in places)
        + "Get the file model.safetensors of openai/whisper-tiny.en (MIT, 151 MB), for instance by\n"
        f"  hf download openai/whisper-tiny.en model.safetensors --local-dir {_suggested()}\n"
        f"and name it in the option `weights`, or its folder's parent by {VARIABLE}{unset}."
    )


def read_whisper(file: Path) -> WhisperWeights:
    """Encoder and head of one file; the head of the package where it has none. Raises as :func:`find_whisper`."""
    tensors, labels = _read(file)
    if any(name.startswith("enc.") for name in tensors):
        encoder = _from_combined(tensors)
    else:
        found = ((re.fullmatch(r"(?:model\.)?encoder\.(.+)", name), tensor) for name, tensor in tensors.items())
        encoder = {match[1]: tensor for match, tensor in found if match}
    encoder.pop(_POSITIONS, None)
    if "conv1.weight" not in encoder:
        raise WeightsError(
            f"{file}: holds no encoder of Whisper (no model.encoder.conv1.weight); see openai/whisper-tiny.en"
        )
    if (digest := encoder_digest(encoder)) != DIGEST:
        raise WeightsError(
            f"{file}: not the encoder of openai/whisper-tiny.en that the phone head was trained on: its digest is "
            f"{digest}, not {DIGEST}; is it of another size or language, or quantised? Name the official file"
        )
    if not any(name.startswith("head.") for name in tensors):
        tensors, header = load_weights(HEAD)
        labels = tuple(header["phones"])
    if labels != PHONES:
        raise WeightsError(f"{file}: its head knows the labels {' '.join(labels) or '(none)'}, not {' '.join(PHONES)}")
    parts = ((name.partition("."), tensor.float()) for name, tensor in tensors.items())
    head = {name: tensor for (part, _, name), tensor in parts if part in ("head", "norm")}
    return WhisperWeights(encoder=encoder, head=head, origin=file)


def encoder_digest(encoder: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensors in float16, little-endian, in the order of their names, positions left out.

    The official values are float16 to begin with, so every lossless container of them has the same digest.
    """
    digest = hashlib.sha256()
    for name in sorted(encoder):
        digest.update(f"{name} {tuple(encoder[name].shape)}\n".encode())
        digest.update(encoder[name].half().contiguous().numpy().astype("<f2").tobytes())
    return digest.hexdigest()


def _suggested() -> Path:
    return Path(os.environ.get(VARIABLE) or user_cache_dir("vast")) / "whisper-tiny.en"


def _read(file: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors of encoder and head in float32, and the head's labels."""
    try:
        with safe_open(file, framework="pt") as opened:
            wanted = [name for name in opened.keys() if not name.startswith(("model.decoder.", "decoder."))]  # noqa: SIM118
            tensors = {name: opened.get_tensor(name).to(torch.float32) for name in wanted}
            labels = (opened.metadata() or {}).get("phones", "")
    except SafetensorError as error:
        raise WeightsError(f"{file}: not a safetensors file, or damaged ({error}); get it again") from error
    return tensors, tuple(labels.split())


def _from_combined(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Encoder tensors by their official names; query, key and value are one tensor there."""
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
