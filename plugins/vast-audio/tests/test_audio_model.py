"""The network of audio/ppg and its start, held to Whisper's encoder, window by window."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from vast_audio.acoustic_model import BANDS, HEAD_PACE, HEADS, HIDDEN, SPAN, AcousticModel, HeadConv
from vast_audio.pruning import start_from
from vast_audio.whisper import HEAD_WIDTH, Encoder

PLACE = 300


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Encoder().eval()


@pytest.fixture
def model():
    torch.manual_seed(1)
    network = AcousticModel().eval()
    nn.init.normal_(network.place)
    return network


def random(*shape, seed=2):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def energies(batch, steps):
    return random(batch, steps, 2, BANDS).abs()


@pytest.mark.parametrize("steps", [2 * SPAN + 1, 2 * SPAN + 64, 230])
@torch.no_grad()
def test_each_step_is_the_middle_of_its_own_window(encoder, steps):
    """Whisper's first layer on each window by itself, at Whisper's positions, normalised as the middle one would be."""
    whole = AcousticModel.of(encoder)
    layer = encoder.layers[0]
    attention, norm = layer.self_attn, layer.self_attn_layer_norm
    norm.weight.copy_(random(384)), norm.bias.copy_(random(384, seed=3))
    whole.layers[0].load_state_dict(layer.state_dict())
    x = random(2, steps, 384, seed=4) + encoder.positions[PLACE]
    found = whole.layers[0](x)
    assert found.shape == (2, steps - 2 * SPAN, 384)
    moved = encoder.positions[PLACE - SPAN : PLACE + SPAN + 1] - encoder.positions[PLACE]
    for number in {0, 1, 63, 64, steps - 2 * SPAN - 1} & set(range(steps - 2 * SPAN)):
        window = x[1, number : number + 2 * SPAN + 1]
        centred = window + moved - (window + moved).mean(-1, keepdim=True)
        deviation = (window.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
        keys = centred / deviation * norm.weight + norm.bias
        q, k, v = (
            projection(rows).unflatten(-1, (-1, HEAD_WIDTH)).transpose(0, 1)
            for projection, rows in (
                (attention.q_proj, keys[SPAN : SPAN + 1]),
                (attention.k_proj, keys),
                (attention.v_proj, keys),
            )
        )
        mixed = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(HEAD_WIDTH), -1) @ v
        row = window[SPAN] + attention.out_proj(mixed.flatten())
        row = row + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(row))))
        torch.testing.assert_close(found[1, number], row, atol=1e-5, rtol=1e-4)


def test_below_the_layers_it_is_whisper(model, encoder):
    whole = AcousticModel.of(encoder)
    features = model.features(energies(1, 2 * model.margin + 20))
    x = functional.gelu(encoder.conv1(features))[..., 1:-1]  # what Whisper pads there is cut off
    x = functional.gelu(functional.conv1d(x, encoder.conv2.weight, encoder.conv2.bias, stride=2)).transpose(1, 2)
    torch.testing.assert_close(whole.below(features), x + encoder.positions[PLACE])


@torch.no_grad()
def lower_end(model, features):
    hidden = model.below(features)
    for layer in model.layers:
        hidden = layer(hidden)
    return hidden


@torch.no_grad()
def test_what_does_nothing_is_what_is_pruned(model):
    """Where only so many heads and units count as are kept, nothing is lost."""
    torch.manual_seed(5)
    encoder = Encoder().eval()
    for number, layer in enumerate(encoder.layers):
        idle = torch.randperm(6)[HEADS:]
        layer.self_attn.out_proj.weight.unflatten(1, (6, HEAD_WIDTH))[:, idle] = 0
        layer.fc2.weight[:, torch.randperm(1536)[HIDDEN:]] = 0
        layer.fc2.weight.mul_(3 + number)
    features = random(6, BANDS, 2 * (model.reach * 2 + 300))
    start_from(model, encoder, features)
    expected, found = lower_end(AcousticModel.of(encoder), features), lower_end(model, features)
    assert (expected - found).var() < 1e-3 * (expected - expected.mean((0, 1))).var()
    normal = (found - model.mean) / model.std
    torch.testing.assert_close(normal.mean((0, 1)), torch.zeros(384), atol=1e-3, rtol=0)
    torch.testing.assert_close(normal.std((0, 1)), torch.ones(384), atol=0.05, rtol=0)


@torch.no_grad()
def test_what_is_lost_is_fitted(model, encoder):
    """Better than the same heads and units with the weights that they had."""
    features = random(4, BANDS, 2 * (model.reach * 2 + 300))
    start_from(model, encoder, features)
    expected, found = lower_end(AcousticModel.of(encoder), features), lower_end(model, features)
    error = (expected - found).var()
    for layer, theirs in zip(model.layers, encoder.layers, strict=False):
        kept = [int((theirs.fc1.weight - row).abs().sum(1).argmin()) for row in layer.fc1.weight]
        layer.fc2.weight.copy_(theirs.fc2.weight[:, kept])
    assert error < (expected - lower_end(model, features)).var()


def test_the_head_learns_faster_by_its_pace():
    conv = HeadConv(6, 5, 3, dilation=2)
    plain = nn.Conv1d(6, 5, 3, dilation=2)
    with torch.no_grad():
        plain.weight.copy_(HEAD_PACE * conv.weight), plain.bias.copy_(HEAD_PACE * conv.bias)
    x, wanted = random(2, 6, 20), random(2, 5, 16, seed=3)
    torch.testing.assert_close(conv(x), plain(x))
    for layer, rate in ((conv, 1e-4), (plain, HEAD_PACE * 1e-4)):
        optimiser = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=0.0)
        (layer(x) - wanted).square().sum().backward()
        optimiser.step()
    torch.testing.assert_close(HEAD_PACE * conv.weight, plain.weight)


def test_a_part_has_the_rows_of_the_whole(model):
    energy = energies(1, 2 * model.margin + 150)
    whole, part = model(model.features(energy)), model(model.features(energy[:, 37:-20]))
    assert whole.shape == (1, 150, 40)
    torch.testing.assert_close(part, whole[:, 37:-20], atol=1e-5, rtol=1e-4)


def test_no_step_depends_on_what_is_beyond_the_margin(model):
    energy = energies(1, 2 * model.margin + 1).requires_grad_()
    model(model.features(energy)).square().sum().backward()
    touched = energy.grad.abs().sum((0, 2, 3)) > 0
    assert touched.all()  # all of the margin is used
    other = energy.detach().clone()
    wider = torch.cat([energies(1, 9), other, energies(1, 9)], dim=1)
    torch.testing.assert_close(
        model(model.features(wider))[:, 9:-9], model(model.features(other)), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("gain", [1e-4, 1e4])
def test_gain_cancels(model, gain):
    energy = energies(1, 200)
    torch.testing.assert_close(model.features(gain * energy), model.features(energy), atol=1e-4, rtol=1e-4)


def test_every_parameter_learns(model):
    model.train()
    model(model.features(energies(1, 2 * model.margin + 80))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
