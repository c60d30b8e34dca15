"""Search for the weights of ``audio/wav2vec2``, and the torchaudio names of their tensors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vast_core.runs import find_file, read_tensors, suggested_folder

from .wav2vec2_bundles import BUNDLES

_NAMES = (
    (r"(wav2vec2|hubert|wavlm)\.", ""),
    (r"lm_head\.", "aux."),
    (r"feature_projection\.", "encoder.feature_projection."),
    (r"encoder\.(?!transformer\.|feature_projection\.)", "encoder.transformer."),
)
"""Replacements of prefixes, in this order, from names of ``transformers`` to those of torchaudio."""
_KEPT = ("feature_extractor.", "encoder.", "aux.")
"""Prefixes that are kept; the mask vector of pre-training and the quantiser are not used."""


def find_wav2vec2(bundle: str, path: Path | None = None) -> Path:
    """The file at ``path`` (or inside it, if it is a folder), in the folder ``VAST_WEIGHTS``, or in the cache.

    Raises :class:`vast_core.errors.WeightsError`, with instructions, if there is none.
    """
    repository = BUNDLES[bundle].repository
    names = [f"{bundle.lower()}.safetensors"]
    released = ""
    if repository is not None:
        names.append(f"{repository.rpartition('/')[2]}/model.safetensors")
        released = f"Download model.safetensors of {repository} to {suggested_folder() / names[1]}, or "
    how = f"{released}provide its weights as safetensors, named {names[0]}.\n"
    return find_file(names, path, bundle, how[0].upper() + how[1:])


def read_wav2vec2(file: Path, bundle: Any, *, logits: bool) -> dict[str, Tensor]:
    """Tensors in float32 under torchaudio's names, with or without those of the logits.

    Raises :class:`vast_core.errors.WeightsError` if the file is not safetensors.
    """
    given, _ = read_tensors(file)
    tensors = {_renamed(name): tensor for name, tensor in given.items()}
    kept = tuple(start for start in _KEPT if logits or start != "aux.")
    tensors = {name: tensor for name, tensor in tensors.items() if name.startswith(kept)}
    if bundle._model_type == "WavLM":
        tensors = _joined(tensors)
    _drop_unused_letters(tensors, bundle)
    return tensors


def _renamed(name: str) -> str:
    for old, new in _NAMES:
        name = re.sub(f"^{old}", new, name)
    # a weight stored as direction and length, under the names of older releases of torch
    name = re.sub(r"weight_g$", "parametrizations.weight.original0", name)
    return re.sub(r"weight_v$", "parametrizations.weight.original1", name)


def _joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Merge WavLM's projections to query, key and value into one tensor, as torchaudio has them."""
    joined = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"(.+\.attention)\.(q|k|v|out)_proj\.(weight|bias)", name)
        if match is None or name.endswith(f"attention.attention.out_proj.{match[3]}"):
            joined[name] = tensor
        elif match[2] == "out":
            joined[f"{match[1]}.attention.out_proj.{match[3]}"] = tensor
        elif match[2] == "q":
            parts = [tensors.get(f"{match[1]}.{x}_proj.{match[3]}") for x in "qkv"]
            joined[f"{match[1]}.attention.in_proj_{match[3]}"] = torch.cat([p for p in parts if p is not None])
    return joined


def _drop_unused_letters(tensors: dict[str, Tensor], bundle: Any) -> None:
    """Remove the rows of logits that stand for no letter (padding, ends), as torchaudio does."""
    unused = getattr(bundle, "_remove_aux_axis", ())
    for name in ("aux.weight", "aux.bias"):
        if name in tensors and len(tensors[name]) == bundle._params["aux_num_out"] + len(unused):
            rows = [row for row in range(len(tensors[name])) if row not in unused]
            tensors[name] = tensors[name][rows]
