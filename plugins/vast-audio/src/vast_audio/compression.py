"""Initialisation of the acoustic model: the lower end of Whisper's encoder, with linear maps of reduced rank.

Each reduced map is the best of its rank at reproducing the output of the full one on some speech, given the output of
the reduced network below it, so that it compensates for what was lost there (reduced-rank regression: A. J. Izenman,
1975; map by map as in Y. He, X. Zhang and J. Sun, Channel pruning for accelerating very deep neural networks, 2017).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from .acoustic_model import AcousticModel, LowRank, LowRankLayer
from .whisper import Encoder, Layer

_PENALTY = 1e-4
"""Ridge penalty of a fit, relative to the mean square of its inputs."""


@torch.no_grad()
def start_from(model: AcousticModel, encoder: Encoder, features: Tensor) -> None:
    """Initialise ``model`` from the lower end of ``encoder``, fitted on speech ``features`` (B, 80, 2 N).

    The head's input is normalised by its mean and standard deviation on that speech.
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
    """Output of the full lower end of ``encoder``, normalised as input of the head of ``model``, (B, N, width)."""
    return (encoder.lower_end(features, len(model.layers)) - model.mean) / model.std


def _fit(whole: Layer, reduced: LowRankLayer, given: Tensor, found: Tensor) -> Tensor:
    """Return the output of ``whole`` for ``given``, and fit ``reduced`` to produce it from ``found``."""
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
    """A (rank, I), B (J, rank) and b (J,) that minimise the residual of y = B A x + b, for rows ``y`` (N, J), ``x`` (N,
    I).

    The full-rank solution is projected on the first ``rank`` principal directions of its outputs; A and B have equal
    scale.
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
