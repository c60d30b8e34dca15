"""The network of audio/ppg, held to Whisper's encoder and to plain attention."""

import copy

import pytest
import torch
from torch.nn import functional

from vast_audio.acoustic_model import BANDS, SPAN, AcousticModel
from vast_audio.whisper import HEAD_WIDTH, Encoder


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Encoder().eval()


@pytest.fixture
def model(encoder):
    torch.manual_seed(1)
    network = AcousticModel().eval()
    network.start_from(encoder, torch.rand(1, BANDS, 400))
    return network


def energies(batch, steps):
    return torch.rand(batch, steps, 2, BANDS, generator=torch.Generator().manual_seed(2))


def heads(x):
    return x.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)


@pytest.mark.parametrize("steps", [2 * SPAN + 1, 130, 200])
def test_attention_is_that_of_all_to_all_with_the_far_ones_masked(model, steps):
    x = torch.randn(2, steps, 384, generator=torch.Generator().manual_seed(3))
    attention = model.layer.self_attn
    with torch.no_grad():
        model.distance.copy_(torch.randn(model.distance.shape, generator=torch.Generator().manual_seed(4)))
    apart = torch.arange(steps) - torch.arange(steps)[:, None]
    bias = model.distance[:, (apart + SPAN).clamp(0, 2 * SPAN)].masked_fill(apart.abs() > SPAN, -torch.inf)
    q, k, v = (heads(projection(x)) for projection in (attention.q_proj, attention.k_proj, attention.v_proj))
    mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
    expected = attention.out_proj(mixed)[:, SPAN : steps - SPAN]
    torch.testing.assert_close(model._attended(attention, x), expected, atol=1e-5, rtol=1e-4)


def test_it_starts_as_the_lower_end_of_whisper(model, encoder):
    """Convolutions and the first layer, on windows of just what a step attends to, and nothing else between."""
    with torch.no_grad():
        model.distance.zero_()
    features = model.features(energies(1, 2 * model.margin + 1))
    seen = []
    model.norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model(features)
    x = functional.gelu(encoder.conv1(features))[..., 1:-1]  # what Whisper pads there is cut off
    x = functional.gelu(functional.conv1d(x, encoder.conv2.weight, encoder.conv2.bias, stride=2)).transpose(1, 2)
    x = x + encoder.positions[300]
    for number, row in enumerate(seen[0][0]):
        window = x[:, number : number + 2 * SPAN + 1]
        torch.testing.assert_close(row, encoder.layers[0](window)[0, SPAN], atol=1e-4, rtol=1e-4)


def test_the_bias_on_distance_begins_as_what_positions_add(encoder):
    """Nothing where all positions are alike; where attention asks for the step before, the bias is greatest there."""
    mel, network = torch.rand(2, BANDS, 400), AcousticModel()
    alike = copy.deepcopy(encoder)
    alike.positions[:] = encoder.positions[300]
    network.start_from(alike, mel)
    assert network.distance.abs().max() < 1e-4
    asking = copy.deepcopy(encoder)
    with torch.no_grad():
        # keys are the fast sines and cosines of a position, queries the same turned by one step back
        fast = 40
        attention, norm = asking.layers[0].self_attn, asking.layers[0].self_attn_layer_norm
        norm.weight.fill_(1.0), norm.bias.zero_()
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            projection.weight.zero_()
        asking.conv2.weight.zero_(), asking.conv2.bias.zero_()
        angles = torch.logspace(0, -4, 192)[:fast:2]
        for pair, angle in enumerate(angles):
            sine, cosine = 2 * pair, 192 + 2 * pair
            attention.k_proj.weight[pair, sine] = attention.k_proj.weight[20 + pair, cosine] = 3.0
            attention.q_proj.weight[pair, sine], attention.q_proj.weight[pair, cosine] = (
                3 * angle.cos(),
                -3 * angle.sin(),
            )
            attention.q_proj.weight[20 + pair, sine] = 3 * angle.sin()
            attention.q_proj.weight[20 + pair, cosine] = 3 * angle.cos()
    network.start_from(asking, mel)
    assert int(network.distance[0].argmax()) == SPAN - 1


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
    wider = torch.cat([torch.rand(1, 9, 2, BANDS), other, torch.rand(1, 9, 2, BANDS)], dim=1)
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
        if name != "layer.self_attn.k_proj.bias":
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
