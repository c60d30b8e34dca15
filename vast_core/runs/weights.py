"""Weights and training state as safetensors with a header; loading them cannot run code."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import WeightsError
from ..files.atomic import replacing
from ..version import __version__

FORMAT = 1

HEADER = "vast"
"""Key of the header, which is JSON, in the file's metadata."""

DIGEST = "sha256"
"""Entry of the header: the digest of everything else in the file."""


def save_weights(
    path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], earlier: Path | None = None
) -> None:
    """Write ``tensors`` and ``header`` (serialisable as JSON) to ``path``, completely or not at all.

    The header in the file also has the format, the version of vast, and a digest of tensors and header.
    The file that was there before stays as ``earlier``, if that is given.

    Raises :class:`vast_core.errors.StorageError` if the file cannot be written.
    """
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, "vast": __version__, **header}))
    metadata = {HEADER: json.dumps({**plain, DIGEST: tensors_digest(own, plain)})}
    with replacing(path, earlier) as temporary:
        save_file(own, temporary, metadata=metadata)


def load_weights(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file that :func:`save_weights` wrote.

    Raises :class:`WeightsError` if the file is missing or of another format, or if its content is not what was written.
    """
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    if DIGEST in header and header[DIGEST] != tensors_digest(tensors, header):
        raise WeightsError(f"{path}: damaged, its content is not what was written; train or copy it again")
    return {name: tensor.to(device) for name, tensor in tensors.items()}, header


def tensors_digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """SHA-256 of names, types, shapes and content of all tensors, and of the header without its own digest, in
    hexadecimal."""
    rest = {name: value for name, value in header.items() if name != DIGEST}
    total = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def read_header(path: Path) -> dict[str, Any]:
    """The header only. Raises the same errors as :func:`load_weights`."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; train it first with `vast run`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file, or damaged ({error}); train or copy it again") from error
    if HEADER not in metadata:
        raise WeightsError(f"{path}: a safetensors file that vast did not write (its header lacks {HEADER!r})")
    try:
        header: dict[str, Any] = json.loads(metadata[HEADER])
        made, version = header["format"], header["vast"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: its header is damaged ({error!r}); train or copy it again") from error
    if made != FORMAT:
        raise WeightsError(
            f"{path}: weights of format {made}, this is vast {__version__} with format {FORMAT}; "
            f"load it with vast {version}, or train again"
        )
    return header


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], where: Path | str) -> None:
    """Load ``tensors`` into ``module``; all names and shapes must match.

    Raises :class:`WeightsError` with every tensor that is missing, unknown or of another shape.
    """
    own = module.state_dict()
    wrong = [f"{name}: missing in the file" for name in own if name not in tensors]
    wrong += [f"{name}: unknown to this recipe's components" for name in tensors if name not in own]
    wrong += [
        f"{name}: {tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in this recipe"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if wrong:
        more = f"\n  ... and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise WeightsError(
            f"{where}: these weights belong to other components than the recipe names:\n  "
            + "\n  ".join(wrong[:8])
            + more
            + "\n`vast inspect` shows what they were made with; use that recipe, or train again"
        )
    module.load_state_dict(dict(tensors))


def check_header(
    header: Mapping[str, Any], components: Mapping[str, str], sizes: Mapping[str, float], where: Path
) -> None:
    """Compare the components and sizes of the weights in ``where`` with ``components`` and ``sizes`` of a recipe.

    Raises :class:`WeightsError` with all differences if components or sizes differ; warns if only versions differ.
    """
    made, widths = header.get("components", {}), header.get("sizes", {})
    others: list[str] = []
    versions: list[str] = []
    for kind, here in components.items():
        there = made.get(kind, "none")
        if there != here:
            same = there.rpartition(" ")[0] == here.rpartition(" ")[0]
            (versions if same else others).append(f"{kind}: {there} in the weights, {here} here")
    for name, width in sizes.items():
        if widths.get(name) != width:
            others.append(f"size {name}: {widths.get(name, 'none')} in the weights, {width} here")
    if others:
        raise WeightsError(
            f"{where}: these weights belong to other components than the recipe names:\n  "
            + "\n  ".join([*others, *versions])
            + "\nUse the recipe that they were made with (`vast inspect` shows it), or train again"
        )
    if versions:
        warnings.warn(f"{where}: made by other versions:\n  " + "\n  ".join(versions), stacklevel=3)
