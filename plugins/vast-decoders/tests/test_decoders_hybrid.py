"""The hybrid decoder: chunks, masks, what a frame may see, and that it learns."""

import random

import attrs
import pytest
import torch

from vast_core.interfaces import Sizes
from vast_core.registry import Registry
from vast_decoders.config import HybridConfig
from vast_decoders.hybrid import HybridDecoder
from vast_decoders.recurrent import LowerFaceHead
from vast_decoders.trunk import Trunk

A, E, LOWER, Z = 7, 6, 3, 4
SIZES = Sizes(fps=25, image=64, audio=A, expression=E, lower_face=LOWER, vertices=9, style=Z, context=5)


def make(seed=0, scattered=True, **options):
    torch.manual_seed(seed)
    decoder = HybridDecoder.from_config(HybridConfig(**{"width": 16, "recurrent": 12, **options}), SIZES).eval()
    if scattered:  # away from the zeros of the start, behind which a fault could hide
        for parameter in decoder.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return decoder


def inputs(batch=2, length=60, seed=1):
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(batch, length, A, generator=generator)
    return audio, torch.randn(batch, Z, generator=generator), torch.ones(batch, length, dtype=torch.bool)


def in_chunks(decoder, audio, style, mask, lengths):
    state, start, parts = None, 0, []
    for length in lengths:
        stop = start + length
        future = audio[:, stop : stop + decoder.lookahead]
        output = decoder(audio[:, start:stop], style, mask[:, start:stop], state, future if future.shape[1] else None)
        parts.append(output.expression)
        state, start = output.state, stop
    assert start == audio.shape[1]
    return torch.cat(parts, 1)


def cut(length, chance):
    lengths = []
    while length:
        lengths.append(chance.randint(1, min(length, 25)))
        length -= lengths[-1]
    return lengths


def test_is_registered():
    assert Registry.discover().get("decoder", "hybrid").load() is HybridDecoder


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", [{}, {"symmetric": (2,), "causal": ()}, {"symmetric": (), "postnet": 2}])
@torch.no_grad()
def test_chunked_equals_whole_for_any_chunks(seed, options):
    decoder, (audio, style, mask) = make(**options), inputs()
    whole = decoder(audio, style, mask).expression
    chunked = in_chunks(decoder, audio, style, mask, cut(60, random.Random(seed)))
    assert whole.std() > 0.1
    torch.testing.assert_close(chunked, whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_single_frames_equal_whole():
    decoder, (audio, style, mask) = make(), inputs(length=40)
    whole = decoder(audio, style, mask).expression
    torch.testing.assert_close(in_chunks(decoder, audio, style, mask, [1] * 40), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_state_is_needed_and_does_not_grow():
    decoder, (audio, style, mask) = make(), inputs()
    first = decoder(audio[:, :30], style, mask[:, :30], None, audio[:, 30:36])
    with_state = decoder(audio[:, 30:], style, mask[:, 30:], first.state).expression
    without = decoder(audio[:, 30:], style, mask[:, 30:]).expression
    assert (with_state - without).abs().max() > 1e-3
    sizes = [{name: tensor.shape for name, tensor in first.state.items()}]
    sizes.append({name: t.shape for name, t in decoder(audio, style, mask).state.items()})
    assert sizes[0] == sizes[1]


@torch.no_grad()
def test_padding_changes_no_valid_frame():
    decoder, (audio, style, mask) = make(), inputs(batch=2, length=50)
    mask[1, 31:] = False
    padded = decoder(audio, style, mask).expression
    alone = decoder(audio[1:, :31], style[1:], mask[1:, :31]).expression
    torch.testing.assert_close(padded[1, :31], alone[0], atol=1e-5, rtol=0)
    assert not padded[1, 31:].any()
    audio[1, 31:] = float("nan")
    torch.testing.assert_close(decoder(audio, style, mask).expression, padded, atol=0, rtol=0)


@pytest.mark.parametrize(("symmetric", "causal"), [((1, 2, 3), (2, 4)), ((4,), (1,)), ((), (3,))])
def test_a_frame_sees_what_it_says_it_sees(symmetric, causal):
    """By autograd: nothing beyond t + lookahead; the trunk nothing before t - history."""
    decoder = make(symmetric=symmetric, causal=causal)
    audio, style, mask = inputs(batch=1, length=70)
    audio.requires_grad_()
    frame = 40
    decoder(audio, style, mask).expression[0, frame].sum().backward()
    seen = audio.grad[0].abs().sum(-1).nonzero().flatten().tolist()
    assert max(seen) == frame + decoder.lookahead
    assert decoder.lookahead == sum(symmetric)
    assert min(seen) == 0  # the head remembers

    trunk = decoder.trunk
    sound = torch.randn(1, 70, A, requires_grad=True)
    features = trunk(sound, style)
    assert features.shape[1] == 70 - trunk.history - trunk.lookahead
    features[0, 10].sum().backward()
    seen = sound.grad[0].abs().sum(-1).nonzero().flatten().tolist()
    assert (min(seen), max(seen)) == (10, 10 + trunk.history + trunk.lookahead)


@torch.no_grad()
def test_short_future_counts_as_silence():
    decoder, (audio, style, mask) = make(), inputs(length=20)
    short = torch.randn(2, 2, A)
    padded = torch.cat([short, torch.zeros(2, decoder.lookahead - 2, A)], 1)
    given = [decoder(audio, style, mask, None, future).expression for future in (short, padded)]
    torch.testing.assert_close(*given, atol=0, rtol=0)
    assert (given[0] - decoder(audio, style, mask).expression).abs().max() > 1e-4


def test_reconstruction_ends_with_what_synthesis_gives():
    decoder, (audio, style, mask) = make(), inputs()
    target = torch.randn(2, 60, E)
    trunk, before, final = decoder.reconstruct(audio, style, mask, target, progress=1.0)
    torch.testing.assert_close(final, decoder(audio, style, mask).expression)
    torch.testing.assert_close(trunk[..., LOWER:], before[..., LOWER:])  # the head touches the lower face only
    assert (trunk[..., :LOWER] - before[..., :LOWER]).abs().max() > 1e-2


def test_teacher_forcing_falls_with_progress():
    decoder, (audio, style, mask) = make(), inputs()
    one, other = torch.randn(2, 60, E), torch.randn(2, 60, E)

    def effect(progress):
        torch.manual_seed(0)
        a = decoder.reconstruct(audio, style, mask, one, progress)[-1]
        torch.manual_seed(0)
        b = decoder.reconstruct(audio, style, mask, other, progress)[-1]
        return (a - b).abs().mean().item()

    effects = [effect(progress) for progress in (0.0, 0.4, 0.65, 0.7, 1.0)]
    assert effects[0] > effects[1] > effects[2] > effects[3] == effects[4] == 0


@torch.no_grad()
def test_perfect_teacher_is_the_decoder_itself():
    """Shown its own output before the post-net, a forced head says the same again: units of gain and offset agree."""
    decoder, (audio, style, mask) = make(), inputs()
    own = decoder.reconstruct(audio, style, mask, torch.zeros(2, 60, E), progress=1.0)[1]
    torch.testing.assert_close(decoder.reconstruct(audio, style, mask, own, progress=0.0)[1], own, atol=1e-4, rtol=0)


def test_head_is_the_recurrence_it_says():
    """Against torch's GRUCell, whose reset gate also acts after the product, fed [features, base, last] by hand."""
    torch.manual_seed(0)
    head = LowerFaceHead(5, 2, 4)
    torch.nn.init.normal_(head.write.weight)
    cell = torch.nn.GRUCell(7, 4)
    order = torch.cat([torch.arange(4, 8), torch.arange(4), torch.arange(8, 12)])  # torch: reset, update, new
    cell.weight_ih.data = head.read.weight.data[order].clone()
    cell.bias_ih.data = head.read.bias.data[order].clone()
    cell.weight_hh.data = head.recur.weight.data[order][:, :4].clone()
    cell.bias_hh.data = head.recur.bias.data[order].clone()
    head.recur.weight.data[:, 4:] = 0  # GRUCell knows no second past
    features, base = torch.randn(3, 6, 5), torch.randn(3, 6, 2)
    found, hidden = head(features, base, torch.zeros(3, 4), torch.zeros(3, 2))
    expected = torch.zeros(3, 4)
    for frame in range(6):
        expected = cell(torch.cat([features[:, frame], base[:, frame]], -1), expected)
        torch.testing.assert_close(found[:, frame], base[:, frame] + expected @ head.write.weight.T + head.write.bias)
    torch.testing.assert_close(hidden, expected)


def test_style_sets_gain_and_offset_last():
    decoder, (audio, _, mask) = make(scattered=False), inputs()
    still = torch.zeros(2, Z)
    plain = decoder(audio, still, mask).expression
    for block in decoder.trunk.blocks:
        torch.nn.init.zeros_(block.modulate.weight)
    decoder.gain.weight.data[0, 0] = 0.5
    decoder.offset.weight.data[1, 1] = 2.0
    style = torch.zeros(2, Z)
    style[:, 0], style[:, 1] = 1.0, -1.0
    changed = decoder(audio, style, mask).expression
    gain = torch.exp(1.5 * torch.tanh(torch.tensor(0.5 / 1.5)))
    torch.testing.assert_close(changed[..., 0], gain * plain[..., 0])
    torch.testing.assert_close(changed[..., 1], plain[..., 1] - 2)
    torch.testing.assert_close(changed[..., 2:], plain[..., 2:])


def test_every_parameter_has_a_gradient():
    decoder, (audio, style, mask) = make().train(), inputs()
    sum(p.square().mean() for p in decoder.reconstruct(audio, style, mask, torch.randn(2, 60, E), 0.5)).backward()
    dead = [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not dead
    assert all(p.grad.isfinite().all() for p in decoder.parameters())


def test_training_is_determined_by_the_seed():
    decoder, (audio, style, mask) = make(dropout=0.3).train(), inputs()
    target = torch.randn(2, 60, E)

    def once(seed):
        torch.manual_seed(seed)
        return decoder.reconstruct(audio, style, mask, target, 0.3)[-1]

    assert torch.equal(once(5), once(5))
    assert not torch.equal(once(5), once(6))


def test_one_frame_and_lower_precision():
    decoder, (audio, style, mask) = make(), inputs(batch=1, length=1)
    wide = decoder(audio, style, mask).expression
    assert wide.shape == (1, 1, E)
    with torch.autocast("cpu", torch.bfloat16):
        output = decoder(audio, style, mask)
        again = decoder(audio, style, mask, output.state).expression
    assert output.expression.dtype == again.dtype == torch.float32
    torch.testing.assert_close(output.expression, wide, atol=0.1, rtol=0.1)


def test_meta_device():
    with torch.device("meta"):
        decoder = HybridDecoder.from_config(HybridConfig(), SIZES)
        audio, style, mask = torch.empty(2, 9, A), torch.empty(2, Z), torch.ones(2, 9, dtype=torch.bool)
        output = decoder(audio, style, mask)
        predictions = decoder.reconstruct(audio, style, mask, torch.empty(2, 9, E), 0.2)
    assert output.expression.shape == (2, 9, E)
    assert [tuple(p.shape) for p in predictions] == [(2, 9, E)] * 3


def test_bad_shapes_are_named():
    decoder, (audio, style, mask) = make(), inputs()
    with pytest.raises(ValueError, match=r"style is \(2, 3\)"):
        decoder(audio, style[:, :3], mask)
    with pytest.raises(ValueError, match=r"audio is \(2, 59, 7\)"):
        decoder(audio[:, :59], style, mask)
    with pytest.raises(ValueError, match=r"future is \(2, 20, 7\); it must be \(2, at most 6, 7\)"):
        decoder(audio, style, mask, None, audio[:, :20])
    with pytest.raises(ValueError, match="symmetric is"):
        HybridConfig(symmetric=(0,))
    with pytest.raises(ValueError, match="lower_face is 9"):
        HybridDecoder(HybridConfig(), attrs.evolve(SIZES, lower_face=9))


def test_trunk_refuses_nothing_it_can_do():
    """No block at all: a frame sees itself."""
    trunk = Trunk(A, Z, 8, (), (), 0.0)
    assert (trunk.history, trunk.lookahead) == (0, 0)
    assert trunk(torch.randn(1, 3, A), torch.randn(1, Z)).shape == (1, 3, 8)


def test_learns_an_amplitude_and_an_offset_for_styles_never_seen():
    """Styles are given; the face is gain(style) * filtered audio + offset(style)."""
    torch.manual_seed(0)
    decoder = HybridDecoder.from_config(HybridConfig(width=24, recurrent=16, dropout=0.0), SIZES)
    mix, gain, offset = torch.randn(A, E) / A**0.5, 0.3 * torch.randn(Z, E), 0.5 * torch.randn(Z, E)

    def draw(count):
        audio, style = torch.randn(count, 40, A), torch.randn(count, Z)
        smooth = torch.nn.functional.avg_pool1d(audio.transpose(1, 2), 5, 1, 2).transpose(1, 2)
        return audio, style, 2 * smooth @ mix * torch.exp(style @ gain)[:, None] + (style @ offset)[:, None]

    mask = torch.ones(16, 40, dtype=torch.bool)
    optimiser = torch.optim.Adam(decoder.parameters(), 5e-3)
    for step in range(150):
        audio, style, target = draw(16)
        predictions = decoder.reconstruct(audio, style, mask, target, step / 150)
        optimiser.zero_grad()
        sum((p - target).square().mean() for p in predictions).backward()
        optimiser.step()
    decoder.eval()
    audio, style, target = draw(16)
    ours = (decoder(audio, style, mask).expression - target).square().mean().sqrt()
    zero = (decoder(audio, 0 * style, mask).expression - target).square().mean().sqrt()
    assert ours < 0.5 * zero
