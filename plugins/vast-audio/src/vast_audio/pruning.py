"""The acoustic model's start: the lower end of Whisper's encoder, with fewer heads of attention and hidden units.

What is left of each layer is fitted by least squares to what the whole one does on some speech, layer after layer, so
that a layer makes up for what those before it lost (after Y. He, X. Zhang and J. Sun, Channel pruning for accelerating
very deep neural networks, 2017).
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from .acoustic_model import SPAN, AcousticModel, LocalLayer
from .whisper import HEAD_WIDTH, Encoder

_PENALTY = 1e-3
"""Of the mean square of the inputs of a fit: keeps its weights small."""
_THIN = 3
"""Only one row in so many is looked at while choosing."""


@torch.no_grad()
def start_from(model: AcousticModel, encoder: Encoder, features: Tensor) -> None:
    """Let ``model`` begin as what the lower end of ``encoder`` makes of some speech's ``features`` (B, 80, 2 N).

    The head's inputs are normalised by their mean and deviation there.
    """
    whole = AcousticModel.of(encoder).eval().to(features.device)
    for name in ("conv1", "conv2"):
        getattr(model, name).load_state_dict(getattr(whole, name).state_dict())
    model.place.copy_(whole.place)
    expected = whole.below(features)
    found = expected
    for large, small in zip(whole.layers, model.layers, strict=True):
        if isinstance(large, LocalLayer) and isinstance(small, LocalLayer):
            expected = _fit(large, small, expected, found)
            found = small(found)
    rows = found.flatten(0, 1)
    model.mean.copy_(rows.mean(0))
    model.std.copy_(rows.std(0) + 1e-3)


def _fit(large: LocalLayer, small: LocalLayer, given: Tensor, found: Tensor) -> Tensor:
    """What ``large`` makes of ``given``; let ``small`` make the same of ``found``, as nearly as it can."""
    for name in ("self_attn_layer_norm", "final_layer_norm"):
        getattr(small, name).load_state_dict(getattr(large, name).state_dict())
    here = given[:, SPAN : given.shape[1] - SPAN] + large.self_attn.out_proj(large.attended(given))
    expected: Tensor = here + large.fc2(large.units(here))
    # attention: the heads that leave least unexplained
    inner = found[:, SPAN : found.shape[1] - SPAN]
    attended, missing = large.attended(found).flatten(0, 1), (here - inner).flatten(0, 1)
    heads = small.self_attn.q_proj.out_features // HEAD_WIDTH
    channels = torch.arange(attended.shape[1], device=attended.device).view(-1, HEAD_WIDTH)
    choices = [channels[list(chosen)].flatten() for chosen in combinations(range(len(channels)), heads)]
    kept = min(choices, key=lambda some: _least_squares(attended[::_THIN, some], missing[::_THIN])[2])
    for name in ("q_proj", "k_proj", "v_proj"):
        _take(getattr(large.self_attn, name), getattr(small.self_attn, name), kept)
    _set(small.self_attn.out_proj, attended[:, kept], missing)
    # hidden units: those of the greatest part in the fit, in two rounds
    here = inner + small.self_attn.out_proj(small.attended(found))
    units, missing = large.units(here).flatten(0, 1), (expected - here).flatten(0, 1)
    kept, wanted = torch.arange(units.shape[1], device=units.device), small.fc1.out_features
    for count in (round((len(kept) * wanted) ** 0.5), wanted):
        weight = _least_squares(units[::_THIN, kept], missing[::_THIN])[0]
        part = weight.square().sum(0) * units[:, kept].var(0)
        kept = kept[part.argsort(descending=True)[:count]]
    _take(large.fc1, small.fc1, kept)
    _set(small.fc2, units[:, kept], missing)
    return expected


def _take(large: nn.Linear, small: nn.Linear, kept: Tensor) -> None:
    small.weight.copy_(large.weight[kept])
    if large.bias is not None:
        small.bias.copy_(large.bias[kept])


def _set(linear: nn.Linear, x: Tensor, y: Tensor) -> None:
    weight, bias, _ = _least_squares(x, y)
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)


def _least_squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
    """Weight (J, I), bias (J,) and the square error of the best linear map from rows ``x`` (N, I) to ``y`` (N, J)."""
    x, y = x.double(), y.double()
    mean, target = x.mean(0), y.mean(0)
    centred = x - mean
    gram = centred.T @ centred
    gram.diagonal().add_(_PENALTY * gram.diagonal().mean())
    weight = torch.linalg.solve(gram, centred.T @ (y - target))
    error = float((y - target - centred @ weight).square().sum())
    return weight.T.float(), (target - mean @ weight).float(), error
