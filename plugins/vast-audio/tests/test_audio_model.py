"""The network of audio/ppg and its start, held to Whisper's encoder and to least squares by another way."""

import numpy as np
import pytest
import torch
from torch import nn

from vast_audio import acoustic_model
from vast_audio.acoustic_model import BANDS, CONV_RANK, HEAD_PACE, LAYERS, AcousticModel, HeadConv, Ranks
from vast_audio.compression import imitated, reduced_rank, start_from
from vast_audio.whisper import Encoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder().eval()


@pytest.fixture
def model():
    torch.manual_seed(1)
    return AcousticModel().eval()


def random(*shape, seed=2):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def energies(batch, steps):
    return random(batch, steps, 2, BANDS).abs()


@torch.no_grad()
def lower_end_of(encoder, features):
    """Whisper's own code, without its layers above."""
    encoder.layers, encoder.layer_norm = encoder.layers[: len(LAYERS)], nn.Identity()
    return encoder(features)


def unlike(found, expected):
    """Share of the variance of ``expected`` in which ``found`` differs."""
    return float((found - expected).var() / (expected - expected.mean((0, 1))).var())


@torch.no_grad()
def test_at_full_rank_it_is_whisper(encoder, monkeypatch):
    monkeypatch.setattr(acoustic_model, "LAYERS", (Ranks(384, 384, 384, 384),) * 3)
    monkeypatch.setattr(acoustic_model, "CONV_RANK", 384)
    model, features, new = AcousticModel().eval(), random(8, BANDS, 800), random(1, BANDS, 250, seed=3)
    start_from(model, encoder, features)
    found = model.lower_end(new) * model.std + model.mean
    assert unlike(found, lower_end_of(encoder, new)) < 0.01
    fitted = model.lower_end(features)
    torch.testing.assert_close(fitted.mean((0, 1)), torch.zeros(384), atol=0.01, rtol=0)
    torch.testing.assert_close(fitted.std((0, 1)), torch.ones(384), atol=0.02, rtol=0)


@torch.no_grad()
def test_what_has_no_greater_rank_is_kept(model, encoder):
    """Also of sound that it was not fitted to."""

    def reduce(weight, rank):
        left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
        weight.copy_((left[:, :rank] * values[:rank] @ right[:rank]).reshape(weight.shape))

    reduce(encoder.conv2.weight, CONV_RANK)
    for layer, ranks in zip(encoder.layers, LAYERS, strict=False):
        attention = layer.self_attn
        together = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
        reduce(together, ranks.qkv)
        for projection, rows in zip(
            (attention.q_proj, attention.k_proj, attention.v_proj), together.chunk(3), strict=True
        ):
            projection.weight.copy_(rows)
        reduce(attention.out_proj.weight, ranks.out)
        reduce(layer.fc1.weight, ranks.fc1)
        reduce(layer.fc2.weight, ranks.fc2)
    new = random(1, BANDS, 250, seed=3)
    start_from(model, encoder, random(8, BANDS, 800))
    assert unlike(model.lower_end(new) * model.std + model.mean, lower_end_of(encoder, new)) < 0.01


@torch.no_grad()
def test_what_is_lost_is_made_up_for(model, encoder):
    """Nearer to Whisper than its maps reduced one by one, each with no regard to what goes in."""
    features = random(8, BANDS, 800)
    start_from(model, encoder, features)
    expected = (lower_end_of(encoder, features) - model.mean) / model.std
    error = unlike(model.lower_end(features), expected)

    def reduce(to, *maps):
        weight = torch.cat([linear.weight for linear in maps])
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
        rank = len(to.down.weight)
        to.down.weight.copy_(right[:rank])
        to.up.weight.copy_(left[:, :rank] * values[:rank])
        to.up.bias.copy_(torch.cat([torch.zeros(len(m.weight)) if m.bias is None else m.bias for m in maps]))

    for reduced, whole in zip(model.layers, encoder.layers, strict=False):
        attention = whole.self_attn
        reduce(reduced.qkv, attention.q_proj, attention.k_proj, attention.v_proj)
        reduce(reduced.out, attention.out_proj)
        reduce(reduced.fc1, whole.fc1)
        reduce(reduced.fc2, whole.fc2)
    assert error < 0.9 * unlike(model.lower_end(features), expected)


@torch.no_grad()
def test_what_is_imitated_is_whispers_own(model, encoder):
    model.mean.copy_(random(384)), model.std.copy_(random(384, seed=3).abs() + 0.5)
    features = random(2, BANDS, 120)
    found = imitated(model, encoder, features)
    torch.testing.assert_close(found * model.std + model.mean, lower_end_of(encoder, features), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_the_map_of_a_rank_is_the_best(rank):
    """Held to numpy: with a bias, the error is what least squares leave and the singular values that are cut off."""
    x, noise = random(200, 7).double() + 3, random(200, 5, seed=3).double()
    y = x @ random(7, 5, seed=4).double() + noise - 2
    down, up, bias = reduced_rank(x, y, rank)
    assert (down.shape, up.shape, bias.shape) == ((rank, 7), (5, rank), (5,))
    error = float((y - x @ (up @ down).double().T - bias).square().sum())
    centred, target = (x - x.mean(0)).numpy(), (y - y.mean(0)).numpy()
    fitted = centred @ np.linalg.lstsq(centred, target, rcond=None)[0]
    best = np.square(target - fitted).sum() + np.square(np.linalg.svd(fitted, compute_uv=False)[rank:]).sum()
    assert error == pytest.approx(best, rel=1e-3)
    torch.testing.assert_close(down.norm(dim=1), up.norm(dim=0), atol=1e-5, rtol=1e-4)


def test_margins_are_heard_but_have_no_logits(model):
    features = random(2, BANDS, 2 * 120)
    whole = model(features)
    assert whole.shape == (2, 120, 40)
    for before, after in ((0, 0), (3, 3), (10, 10), (11, 3), (32, 32), (64, 7), (0, 20)):
        found = model(features, before, after)
        torch.testing.assert_close(found, whole[:, before : 120 - after], atol=1e-5, rtol=1e-4)
    changed = features.clone()
    changed[..., :2] += 1
    assert not torch.allclose(model(changed, 32, 32), model(features, 32, 32))


def test_the_head_learns_faster_by_its_pace():
    conv = HeadConv(6, 5, 3, dilation=2)
    plain = nn.Conv1d(6, 5, 3, dilation=2, padding="same")
    with torch.no_grad():
        plain.weight.copy_(HEAD_PACE * conv.weight), plain.bias.copy_(HEAD_PACE * conv.bias)
    x, wanted = random(2, 6, 20), random(2, 5, 20, seed=3)
    torch.testing.assert_close(conv(x), plain(x))
    for layer, rate in ((conv, 1e-4), (plain, HEAD_PACE * 1e-4)):
        optimiser = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=0.0)
        (layer(x) - wanted).square().sum().backward()
        optimiser.step()
    torch.testing.assert_close(HEAD_PACE * conv.weight, plain.weight)


@pytest.mark.parametrize("gain", [1e-4, 1e4])
def test_gain_cancels(model, gain):
    energy = energies(1, 200)
    torch.testing.assert_close(model.features(gain * energy), model.features(energy), atol=1e-4, rtol=1e-4)


def test_every_parameter_learns(model):
    model.train()
    model(model.features(energies(1, 80))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
