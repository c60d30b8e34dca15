"""The acoustic model's start: the lower end of Whisper's encoder, its linear maps reduced to limited ranks.

Each reduced map is the best of its rank for what the whole one does on some speech, given what the reduced network
below gives it, so that it makes up for what was lost there (reduced-rank regression: A. J. Izenman, 1975; map after
map as in Y. He, X. Zhang and J. Sun, Channel pruning for accelerating very deep neural networks, 2017).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from .acoustic_model import AcousticModel, LowRank, LowRankLayer
from .whisper import Encoder, Layer

_PENALTY = 1e-4
"""Of the mean square of the inputs of a fit: keeps its weights small."""


@torch.no_grad()
def start_from(model: AcousticModel, encoder: Encoder, features: Tensor) -> None:
    """Let ``model`` begin as what the lower end of ``encoder`` makes of some speech's ``features`` (B, 80, 2 N).

    What its head is given is normalised by mean and deviation there.
    """
    model.conv1.load_state_dict(encoder.conv1.state_dict())
    x = functional.gelu(model.conv1(features))
    seen = functional.pad(x, (1, 1)).unfold(-1, 3, 2)
    conv, wanted = model.conv2, encoder.conv2(x).transpose(1, 2).flatten(0, 1)
    down, up, bias = reduced_rank(rearrange(seen, "b i n k -> (b n) (i k)"), wanted, len(conv.down.weight))
    conv.down.weight.copy_(rearrange(down, "r (i k) -> r i k", k=3))
    conv.up.load_state_dict({"weight": up[..., None], "bias": bias})
    expected, found = encoder.lower_end(features, 0), model.embedded(features)
    for whole, reduced in zip(encoder.layers, model.layers, strict=False):
        if isinstance(whole, Layer) and isinstance(reduced, LowRankLayer):
            expected = _fit(whole, reduced, expected, found)
            found = reduced(found)
    rows = expected.flatten(0, 1)
    model.mean.copy_(rows.mean(0))
    model.std.copy_(rows.std(0) + 1e-3)


@torch.no_grad()
def imitated(model: AcousticModel, encoder: Encoder, features: Tensor) -> Tensor:
    """What the whole lower end of ``encoder`` would give the head of ``model`` (B, N, width)."""
    return (encoder.lower_end(features, len(model.layers)) - model.mean) / model.std


def _fit(whole: Layer, reduced: LowRankLayer, given: Tensor, found: Tensor) -> Tensor:
    """What ``whole`` makes of ``given``; let ``reduced`` make the same of ``found``, as nearly as it can."""
    for name in ("self_attn_layer_norm", "final_layer_norm"):
        getattr(reduced, name).load_state_dict(getattr(whole, name).state_dict())
    attention, heard = whole.self_attn, whole.self_attn_layer_norm(given)
    qkv = torch.cat([project(heard) for project in (attention.q_proj, attention.k_proj, attention.v_proj)], dim=-1)
    _set(reduced.qkv, reduced.self_attn_layer_norm(found), qkv)
    middle = given + attention(heard)
    _set(reduced.out, reduced.attended(found), middle - found)
    found = found + reduced.out(reduced.attended(found))
    units = whole.fc1(whole.final_layer_norm(middle))
    _set(reduced.fc1, reduced.final_layer_norm(found), units)
    expected: Tensor = middle + whole.fc2(functional.gelu(units))
    _set(reduced.fc2, functional.gelu(reduced.fc1(reduced.final_layer_norm(found))), expected - found)
    return expected


def _set(linear: LowRank, x: Tensor, y: Tensor) -> None:
    down, up, bias = reduced_rank(x.flatten(0, -2), y.flatten(0, -2), len(linear.down.weight))
    linear.down.weight.copy_(down)
    linear.up.weight.copy_(up)
    linear.up.bias.copy_(bias)


def reduced_rank(x: Tensor, y: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """A (rank, I), B (J, rank) and b (J,) that leave least of rows ``y`` (N, J) in y = B A x + b, x (N, I).

    Of the best map of any rank, what its outputs have in their ``rank`` principal directions; A and B are of like size.
    """
    x, y = x.double(), y.double()
    mean, target = x.mean(0), y.mean(0)
    centred = x - mean
    gram = centred.T @ centred
    gram.diagonal().add_(_PENALTY * gram.diagonal().mean())
    weight = torch.linalg.solve(gram, centred.T @ (y - target)).T
    up = torch.linalg.eigh(weight @ gram @ weight.T).eigenvectors[:, -rank:]
    down = up.T @ weight
    bias = target - up @ (down @ mean)
    size = down.norm(dim=1).sqrt()
    return (down / size[:, None]).float(), (up * size).float(), bias.float()
