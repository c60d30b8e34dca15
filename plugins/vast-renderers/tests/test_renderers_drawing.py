"""What the paper's renderer must do with a scene."""

from __future__ import annotations

import attrs
import pytest
import torch
from safetensors.torch import load, save

from vast_renderers.cgan_convlstm import CganConvLstm
from vast_renderers.config import CganConvLstmConfig

TO_THE_LETTER = {"texture": False, "skips": False, "residual": False, "upsampling": "transposed"}
VARIANTS = {
    "default": {},
    "to_the_letter": TO_THE_LETTER,
    "texture": TO_THE_LETTER | {"texture": True},
    "skips": TO_THE_LETTER | {"skips": True},
    "residual": TO_THE_LETTER | {"residual": True},
}


@pytest.fixture(params=VARIANTS)
def renderer(request, sizes):
    torch.manual_seed(0)
    config = CganConvLstmConfig(size=32, width=8, **VARIANTS[request.param])
    return CganConvLstm.from_config(config, sizes).eval()


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 19])
def test_any_length_in_range_and_the_background_exactly(renderer, make_batch, frames):
    scene = make_batch(frames, batch=2).scene
    drawn = renderer(scene).frames
    assert drawn.shape == scene.background.shape
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert torch.equal(drawn * (1 - scene.hole), scene.background)


@torch.no_grad()
def test_chunked_equals_whole(renderer, make_batch, cut):
    scene = make_batch(11, batch=2).scene
    whole = renderer(scene)
    state, chunks = None, []
    for start, stop in [(0, 1), (1, 5), (5, 7), (7, 11)]:
        output = renderer(cut(scene, start, stop), state)
        # A state must survive being written down and read again.
        state = load(save({name: value.contiguous() for name, value in output.state.items()}))
        chunks.append(output.frames)
    torch.testing.assert_close(torch.cat(chunks, dim=1), whole.frames, atol=1e-5, rtol=0)
    for name, value in whole.state.items():
        torch.testing.assert_close(state[name], value, atol=1e-5, rtol=0)


@torch.no_grad()
def test_one_clip_of_a_batch_does_not_see_the_other(renderer, make_batch):
    both = make_batch(4, batch=2).scene
    parts = attrs.asdict(both, recurse=False, filter=lambda _, value: value is not None)
    alone = type(both)(**{name: part[:1] for name, part in parts.items()})
    torch.testing.assert_close(renderer(both).frames[:1], renderer(alone).frames, atol=1e-5, rtol=0)


@torch.no_grad()
def test_training_mode_draws_the_same(renderer, make_batch):
    scene = make_batch(3).scene
    assert torch.equal(renderer.eval()(scene).frames, renderer.train()(scene).frames)


@torch.no_grad()
def test_finite_under_bfloat16(renderer, make_batch):
    scene = make_batch(6).scene
    plain = renderer(scene).frames
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = renderer(scene).frames
    assert rounded.dtype == torch.float32
    assert (plain - rounded).abs().max() < 0.05


@torch.no_grad()
def test_bfloat16_changes_no_picture_visibly(renderer, make_batch):
    scene = make_batch(4).scene
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = renderer(scene).frames
    error = (coarse - renderer(scene).frames).square().mean()
    assert 0 < error < 10**-5, "over 50 dB"


@torch.no_grad()
@pytest.mark.parametrize("name", VARIANTS)
def test_the_memory_and_the_audio_matter(name, sizes, make_batch):
    torch.manual_seed(0)
    renderer = CganConvLstm.from_config(CganConvLstmConfig(size=32, width=8, **VARIANTS[name]), sizes).eval()
    scene = make_batch(4).scene
    first = renderer(scene)
    assert not torch.equal(renderer(scene, first.state).frames, first.frames)
    spoken = attrs.evolve(scene, audio=scene.audio.roll(1, dims=-1))
    assert not torch.equal(renderer(spoken).frames, first.frames)
    # Sound that comes later changes nothing before it: the memory looks back only.
    late = scene.audio.clone()
    late[:, 2] += 1
    heard = renderer(attrs.evolve(scene, audio=late)).frames
    assert torch.equal(heard[:, :2], first.frames[:, :2])
    assert not torch.equal(heard[:, 3], first.frames[:, 3])


@torch.no_grad()
@pytest.mark.parametrize("name", VARIANTS)
def test_no_seam_where_a_plain_background_meets_the_hole(name, sizes, make_batch):
    torch.manual_seed(0)
    renderer = CganConvLstm.from_config(CganConvLstmConfig(size=128, width=8, **VARIANTS[name]), sizes).eval()
    scene = make_batch(1, size=128).scene
    border = scene.hole - (torch.nn.functional.avg_pool2d(scene.hole[0], 3, 1, 1)[None] > 0.999).float()
    scene = attrs.evolve(
        scene,
        background=(0.5 * (1 - scene.hole)).expand_as(scene.mesh),
        coverage=torch.zeros_like(scene.hole),
        texture=0 * scene.texture,
    )
    change = (renderer(scene).frames - 0.5).abs().mean(2, keepdim=True)
    at_border = (change * border).sum() / border.sum()
    inside = (change * (scene.hole - border)).sum() / (scene.hole - border).sum()
    assert at_border < 0.5 * inside


@pytest.mark.parametrize("name", VARIANTS)
def test_shapes_are_checked_without_data(name, sizes, make_batch):
    with torch.device("meta"):
        renderer = CganConvLstm.from_config(CganConvLstmConfig(size=32, width=8, **VARIANTS[name]), sizes)
    scene = make_batch(4).scene
    parts = attrs.asdict(scene, recurse=False, filter=lambda _, value: value is not None)
    output = renderer(type(scene)(**{name: part.to("meta") for name, part in parts.items()}))
    assert output.frames.shape == scene.background.shape
    assert output.frames.is_meta


def test_a_scene_that_does_not_fit_is_refused(sizes, make_batch):
    renderer = CganConvLstm.from_config(CganConvLstmConfig(size=32, width=8), sizes)
    with pytest.raises(ValueError, match=r"scene\.background.*32, 32.*renderer\.size"):
        renderer(make_batch(1, size=64).scene)
    scene = make_batch(2).scene
    with pytest.raises(ValueError, match=r"scene\.audio is \(1, 1, 5\).*\(1, 2, 5\)"):
        renderer(attrs.evolve(scene, audio=scene.audio[:, :1]))
