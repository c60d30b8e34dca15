"""The attentive encoder: what it must ignore, what it must not, and any length."""

import math

import attrs
import pytest
import torch

from vast_core.errors import InputError
from vast_core.interfaces import Sizes
from vast_core.registry import Registry
from vast_styles.attentive import AttentiveEncoder
from vast_styles.config import AttentiveConfig
from vast_styles.statistics import mean_and_log_deviation, regression, velocity
from vast_styles.transformer import AttentionPooling, Block, Transformer, positions

A, E, Z, H = 7, 6, 8, 5
SIZES = Sizes(fps=25, image=64, audio=A, expression=E, lower_face=3, vertices=9, style=Z, context=H)


def make(seed=0, **options):
    torch.manual_seed(seed)
    config = AttentiveConfig(**{"size": Z, "context": H, "width": 16, "window": 20, **options})
    encoder = AttentiveEncoder.from_config(config, SIZES).eval()
    for layer in (encoder.mean, encoder.log_std):  # they start at zero, behind which a fault could hide
        torch.nn.init.normal_(layer.weight, std=0.3)
    return encoder


def inputs(batch=3, length=33, seed=1):
    generator = torch.Generator().manual_seed(seed)
    expression = torch.randn(batch, length, E, generator=generator)
    audio = torch.randn(batch, length, A, generator=generator)
    return expression, audio, torch.ones(batch, length, dtype=torch.bool), torch.ones(batch, dtype=torch.bool)


def close(one, other, tolerance=1e-5):
    for a, b in zip(attrs.astuple(one, recurse=False), attrs.astuple(other, recurse=False), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


def row(posterior, number):
    return type(posterior)(*(tensor[number : number + 1] for tensor in attrs.astuple(posterior, recurse=False)))


def test_is_registered_and_gives_its_sizes():
    component = Registry.discover().get("style", "attentive")
    assert component.load() is AttentiveEncoder
    assert component.config(size=12, context=9).sizes() == {"style": 12, "context": 9}
    posterior = make()(*inputs())
    assert [tuple(t.shape) for t in attrs.astuple(posterior, recurse=False)] == [(3, Z), (3, Z), (3, H)]


@pytest.mark.parametrize("value", [5.0, math.nan, math.inf])
@torch.no_grad()
def test_masked_frames_change_nothing(value):
    encoder, (expression, audio, mask, heard) = make(), inputs()
    mask[0, 5:9] = mask[1, :3] = mask[2, 20:] = False
    before = encoder(expression, audio, mask, heard)
    expression[~mask], audio[~mask] = value, value
    close(encoder(expression, audio, mask, heard), before, tolerance=0)


@pytest.mark.parametrize("length", [1, 2, 19, 20, 21, 33])
@torch.no_grad()
def test_padding_changes_nothing(length):
    """Also where the padding fills whole windows."""
    encoder, (expression, audio, mask, heard) = make(), inputs(length=75)
    mask[1, length:] = False
    padded = encoder(expression, audio, mask, heard)
    alone = encoder(expression[1:2, :length], audio[1:2, :length], mask[1:2, :length], heard[:1])
    close(row(padded, 1), alone)


@torch.no_grad()
def test_rows_do_not_mix():
    encoder, (expression, audio, mask, heard) = make(), inputs()
    heard[1] = False
    together = encoder(expression, audio, mask, heard)
    for number in range(3):
        one = slice(number, number + 1)
        close(row(together, number), encoder(expression[one], audio[one], mask[one], heard[one]))


@torch.no_grad()
def test_a_prompt_without_sound_ignores_its_audio():
    encoder, (expression, audio, mask, heard) = make(), inputs()
    deaf = encoder(expression, audio, mask, ~heard)
    close(encoder(expression, torch.full_like(audio, math.nan), mask, ~heard), deaf, tolerance=0)
    hearing = encoder(expression, audio, mask, heard)
    assert (hearing.mean - deaf.mean).abs().max() > 1e-3
    assert (hearing.mean - encoder(expression, audio.roll(1, 0), mask, heard).mean).abs().max() > 1e-3
    silent = encoder(expression, torch.zeros_like(audio), mask, heard)
    assert (silent.mean - deaf.mean).abs().max() > 1e-4  # silence is not the lack of a sound track


def test_what_is_ignored_spoils_no_gradient():
    encoder, (expression, audio, mask, heard) = make().train(), inputs()
    heard[0], audio[0] = False, math.nan
    mask[1, 7:], expression[1, 7:] = False, math.nan
    encoder(expression, audio, mask, heard).mean.sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


@torch.no_grad()
def test_frames_of_every_window_count():
    encoder, (expression, audio, mask, heard) = make(), inputs(batch=1, length=60)
    before = encoder(expression, audio, mask, heard)
    for frame in (0, 25, 59):
        changed = expression.clone()
        changed[0, frame] += 3
        assert (encoder(changed, audio, mask, heard).mean - before.mean).abs().max() > 1e-4


@torch.no_grad()
def test_windows_do_not_attend_to_one_another():
    torch.manual_seed(0)
    transformer = Transformer(8, 2, 2, 0.0, window=10).eval()
    x, mask = torch.randn(1, 25, 8), torch.ones(1, 25, dtype=torch.bool)
    whole = transformer(x, mask)
    for start in (0, 10, 20):
        part = slice(start, start + 10)
        torch.testing.assert_close(whole[:, part], transformer(x[:, part], mask[:, part]), atol=1e-5, rtol=0)


@torch.no_grad()
def test_attention_is_that_of_torch():
    """Block's attention against nn.MultiheadAttention with the same weights."""
    torch.manual_seed(0)
    block, reference = Block(8, 2, 0.0).eval(), torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    reference.in_proj_weight.copy_(block.project.weight)
    reference.in_proj_bias.copy_(block.project.bias)
    reference.out_proj.load_state_dict(block.merge.state_dict())
    x, mask = torch.randn(2, 9, 8), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False
    normed = block.before_attention(x)
    attended = x + reference(normed, normed, normed, key_padding_mask=~mask, need_weights=False)[0]
    expected = attended + block.perceptron(attended)
    torch.testing.assert_close(block(x, mask)[mask], expected[mask])


@torch.no_grad()
def test_pooling_is_a_mean_where_all_frames_score_alike():
    pool = AttentionPooling(8, 2)
    torch.nn.init.zeros_(pool.score.weight)
    x, mask = torch.randn(1, 6, 8), torch.tensor([[True, False, True, True, False, False]])
    torch.testing.assert_close(pool(x, mask), pool.norm(x)[mask].mean(0, keepdim=True))


def test_positions_are_those_of_the_paper():
    found = positions(7, 6, torch.zeros(()))
    for place in range(7):
        for pair in range(3):
            angle = place / 10_000 ** (2 * pair / 6)
            assert found[place, pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[place, 3 + pair].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_statistics_are_those_of_the_frames_kept():
    torch.manual_seed(0)
    x, y = torch.randn(1, 30, 2).double(), torch.randn(1, 30, 2).double()
    mask = torch.rand(1, 30) < 0.6
    kept, other = x[mask], y[mask]
    mean, deviation = mean_and_log_deviation(x, mask)
    torch.testing.assert_close(mean[0], kept.mean(0))
    torch.testing.assert_close((2 * deviation[0]).exp(), kept.var(0, unbiased=False) + 1e-5)
    slope = regression(x, y, mask, ridge=0.0)[0]
    for column in range(2):
        system = torch.stack([other[:, column], torch.ones(len(other)).double()], -1)
        expected = torch.linalg.lstsq(system, kept[:, column : column + 1]).solution[0, 0]
        assert slope[column].item() == pytest.approx(expected.item())


def test_velocity_needs_two_frames_in_a_row():
    x = torch.tensor([[[1.0], [3.0], [9.0], [10.0], [20.0]]])
    change, known = velocity(x, torch.tensor([[True, True, False, True, True]]))
    assert change.flatten().tolist() == [0, 2, 0, 0, 10]
    assert known.flatten().tolist() == [False, True, False, False, True]


def test_log_std_starts_at_minus_two_and_stays_bounded():
    torch.manual_seed(0)
    encoder = AttentiveEncoder(AttentiveConfig(size=Z, context=H), SIZES)
    torch.testing.assert_close(encoder(*inputs()).log_std, torch.full((3, Z), -2.0))
    for bias, bound in ((1e4, 1.0), (-1e4, -6.0)):
        torch.nn.init.constant_(encoder.log_std.bias, bias)
        torch.testing.assert_close(encoder(*inputs()).log_std, torch.full((3, Z), bound))


def test_empty_prompt_is_refused_by_row():
    encoder, (expression, audio, mask, heard) = make(), inputs()
    mask[1] = False
    with pytest.raises(InputError, match=r"rows \[1\] .* no frame"):
        encoder(expression, audio, mask, heard)


def test_bad_shapes_and_options_are_named():
    encoder, (expression, audio, mask, heard) = make(), inputs()
    with pytest.raises(ValueError, match=r"audio is \(3, 33, 6\)"):
        encoder(expression, audio[..., 1:], mask, heard)
    with pytest.raises(ValueError, match=r"heard is \(3, 1\)"):
        encoder(expression, audio, mask, heard[:, None])
    with pytest.raises(ValueError, match="width is 100"):
        AttentiveConfig(width=100, heads=3)


def test_every_parameter_has_a_finite_gradient_also_for_a_frozen_face():
    encoder, (expression, audio, mask, heard) = make().train(), inputs(batch=4)
    heard[0] = False
    expression[1] = 0.5  # no movement at all: a deviation of zero
    mask[2, 1:] = False  # a single frame
    posterior = encoder(expression, audio, mask, heard)
    sum(t.square().sum() for t in attrs.astuple(posterior, recurse=False)).backward()
    dead = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not dead
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


@torch.no_grad()
def test_minutes_of_prompt_fit_in_memory():
    encoder = make(window=250)
    posterior = encoder(*inputs(batch=1, length=15_000))  # ten minutes
    assert posterior.mean.isfinite().all()


def test_meta_device_and_lower_precision():
    with torch.device("meta"):
        encoder = AttentiveEncoder.from_config(AttentiveConfig(size=Z, context=H), SIZES)
    assert encoder(*(tensor.to("meta") for tensor in inputs())).mean.shape == (3, Z)
    encoder = make()
    wide = encoder(*inputs())
    with torch.autocast("cpu", torch.bfloat16):
        narrow = encoder(*inputs())
    assert narrow.mean.dtype == narrow.log_std.dtype == narrow.context.dtype == torch.float32
    close(narrow, wide, tolerance=0.1)


@torch.no_grad()
def test_the_code_starts_in_units_of_what_differs_between_clips():
    """Moving a mean by one deviation over the clips moves the code by 1, be the coefficient large as a jaw or small as
    a brow; so does a deviation of the logarithm of an amplitude."""
    encoder = make(size=2 * E)
    torch.nn.init.zeros_(encoder.mean.weight)
    chance = torch.Generator().manual_seed(2)
    scale = torch.logspace(0.5, -1, E)
    faces = [
        scale * (torch.randn(E, generator=chance) + 0.3 * torch.randn(1, E, generator=chance).exp() * wave)
        for wave in torch.randn(40, 100, E, generator=chance)
    ]
    every = torch.ones(100, dtype=torch.bool)
    encoder.start_from([(torch.zeros(100, A), face, every) for face in faces])
    statistics = torch.stack(
        [torch.cat([face.mean(0), 0.5 * (face.var(0, correction=0) + 1e-5).log()]) for face in faces]
    )
    unit = statistics.std(0)

    def code(face):
        return encoder(face[None], torch.zeros(1, 100, A), every[None], torch.tensor([True])).mean[0]

    still = code(faces[0])
    for number in range(E):
        moved, wider = faces[0].clone(), faces[0].clone()
        moved[:, number] += unit[number]
        centre = wider[:, number].mean()
        wider[:, number] = centre + (wider[:, number] - centre) * unit[E + number].exp()
        assert (code(moved) - still).norm() == pytest.approx(1, abs=0.01)
        assert (code(wider) - still).norm() == pytest.approx(1, abs=0.05)


def test_clips_too_short_to_compare_leave_the_start_as_it_is():
    encoder = make()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.start_from([(torch.zeros(20, A), torch.randn(20, E), torch.ones(20, dtype=torch.bool))])
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
