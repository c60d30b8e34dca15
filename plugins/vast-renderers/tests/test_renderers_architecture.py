"""The network is the supplementary's, module by module, and the memory is an LSTM."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from vast_renderers.cgan_convlstm import CganConvLstm
from vast_renderers.config import CganConvLstmConfig, MeshConfig, OwnFrameConfig
from vast_renderers.convlstm import ConvLstm
from vast_renderers.discriminator import PatchDiscriminator
from vast_renderers.generator import Generator
from vast_renderers.plugin import vast_components


def of_kind(module: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, kind)]


@pytest.fixture
def letter() -> Generator:
    return Generator(images=6, audio=40, width=32, skips=False, shuffle=False)


@pytest.mark.parametrize("skips", [False, True])
def test_the_parts_that_the_paper_counts(skips):
    generator = Generator(images=6, audio=40, width=32, skips=skips, shuffle=False)
    encoder = of_kind(generator.encoder, nn.Conv2d)
    assert [conv.stride for conv in encoder] == [(2, 2)] * 3
    assert encoder[0].in_channels == 6
    fusion = of_kind(generator.fusion, nn.Conv2d)
    assert [conv.stride for conv in fusion] == [(1, 1)] * 4
    decoder = of_kind(generator.decoder, nn.ConvTranspose2d)
    assert [conv.stride for conv in decoder] == [(2, 2), (4, 4)]
    assert len(of_kind(generator, nn.ConvTranspose2d)) == 2
    assert not of_kind(generator.decoder, nn.Conv2d)


def test_to_the_letter_there_is_nothing_else(letter):
    memory = of_kind(letter.memory, nn.Conv2d)
    assert len(of_kind(letter, nn.Conv2d)) == 3 + 4 + len(memory)
    assert of_kind(letter, nn.ConvTranspose2d)[-1].out_channels == 3


def test_the_order_is_encoder_audio_fusion_memory_decoder(letter):
    order = []
    parts = [*letter.encoder, letter.audio, letter.fusion, letter.memory, *letter.decoder]
    for part in parts:
        part.register_forward_hook(lambda module, inputs, output: order.append((module, inputs[0].shape)))
    letter(torch.rand(2, 3, 6, 64, 64), torch.rand(2, 3, 40), None)
    assert [module for module, _ in order] == parts
    shapes = [shape for _, shape in order]
    assert shapes[4][-2:] == (8, 8), "the bottleneck is an eighth of the size"
    assert shapes[4][1] == 128 + 64, "the audio is in the fusion's input"
    assert shapes[-1][-2:] == (16, 16)


def test_by_default_the_options_are_on_and_they_cost_no_paper_part(sizes):
    config = CganConvLstmConfig(width=8)
    assert (config.texture, config.skips, config.residual) == (True, True, True)
    renderer = CganConvLstm.from_config(config, sizes)
    assert of_kind(renderer.generator.encoder, nn.Conv2d)[0].in_channels == 9


def test_the_pixel_shuffle_starts_without_a_pattern():
    torch.manual_seed(0)
    decoder = Generator(images=6, audio=40, width=16, skips=False, shuffle=True).decoder
    enlarged = decoder[1](torch.rand(1, 32, 8, 8))
    assert enlarged.shape == (1, 3, 32, 32)
    groups = enlarged.unfold(2, 4, 4).unfold(3, 4, 4)
    assert torch.allclose(groups, groups[..., :1, :1].expand_as(groups))


def test_without_a_game_no_discriminator_is_built(sizes):
    config = CganConvLstmConfig(width=8, adversarial=0.0, feature_matching=0.0)
    assert CganConvLstm.from_config(config, sizes).discriminators is None


def test_on_one_pixel_the_memory_is_torchs_lstm():
    inputs, hidden = 3, 4
    ours, theirs = ConvLstm(inputs, hidden), nn.LSTM(inputs, hidden, batch_first=True)
    # torch orders the gates i, f, g, o; the middle of a padded 3x3 kernel is all that one pixel sees.
    order = torch.cat([torch.arange(4 * hidden).view(4, -1)[k] for k in (0, 1, 3, 2)])
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.from_input.weight[order, :, 1, 1])
        theirs.weight_hh_l0.copy_(ours.from_hidden.weight[order, :, 1, 1])
        theirs.bias_ih_l0.copy_(ours.from_input.bias[order])
        theirs.bias_hh_l0.zero_()
        features = torch.randn(2, 7, inputs, 1, 1)
        output, (last, cell) = ours(features, None)
        expected, (their_last, their_cell) = theirs(features[..., 0, 0])
    torch.testing.assert_close(output[..., 0, 0], expected)
    torch.testing.assert_close(last[..., 0, 0], their_last[0])
    torch.testing.assert_close(cell[..., 0, 0], their_cell[0])


def test_a_patch_is_38_pixels():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(3, 8)
    image = torch.rand(1, 3, 96, 96, requires_grad=True)
    discriminator(image)[-1][0, 0, 6, 6].backward()
    rows = image.grad[0].abs().sum((0, 2)).nonzero()
    assert rows.max() - rows.min() + 1 == 38


@pytest.mark.parametrize("config", [CganConvLstmConfig, OwnFrameConfig, MeshConfig])
def test_a_size_that_cannot_be_halved_three_times_is_refused(config):
    assert config(size=96).sizes() == {"image": 96}
    with pytest.raises(ValueError, match=r"size must be a multiple of 8.*100"):
        config(size=100)


def test_the_declarations_name_what_exists_and_need_no_torch():
    components = {component.name: component for component in vast_components()}
    assert set(components) == {"cgan_convlstm", "own_frame", "mesh"}
    assert components["cgan_convlstm"].load() is CganConvLstm
    probe = "import sys, vast_renderers.plugin; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
