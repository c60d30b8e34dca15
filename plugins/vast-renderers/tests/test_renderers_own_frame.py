"""Renderers that draw the mouth over the own frame: what they leave alone, and what they start from."""

from __future__ import annotations

import attrs
import pytest
import torch

from vast_core.testing.renderer_samples import make_batch
from vast_renderers.config import MeshConfig, OwnFrameConfig
from vast_renderers.mesh import MeshRenderer
from vast_renderers.own_frame import OwnFrame


@pytest.fixture(params=["own_frame", "mesh"])
def renderer(request, sizes):
    torch.manual_seed(0)
    if request.param == "mesh":
        return MeshRenderer.from_config(MeshConfig(size=32), sizes).eval()
    return OwnFrame.from_config(OwnFrameConfig(size=32, width=8), sizes).eval()


@torch.no_grad()
def test_beyond_the_close_up_the_own_frame_is_exact(renderer, sizes):
    scene = make_batch(sizes).scene
    frames = renderer(scene).frames
    beyond = torch.ones_like(scene.hole)
    beyond[..., 8:24, 8:24] = 0
    assert torch.equal(frames * beyond, scene.own * beyond)
    assert not torch.equal(frames, scene.own)


@torch.no_grad()
def test_without_a_region_nothing_is_drawn(renderer, sizes):
    scene = make_batch(sizes).scene
    empty = attrs.evolve(scene.close_up, region=0 * scene.close_up.region)
    drawn = renderer(attrs.evolve(scene, close_up=empty))
    assert torch.equal(drawn.frames, scene.own)
    assert torch.equal(drawn.close_up, scene.close_up.own)


@torch.no_grad()
def test_the_preview_shows_the_most_similar_mouths(sizes):
    scene = make_batch(sizes).scene
    sure = torch.zeros_like(scene.close_up.likeness)
    sure[..., 1] = 1
    everywhere = attrs.evolve(scene.close_up, region=torch.ones_like(scene.close_up.region), likeness=sure)
    drawn = MeshRenderer.from_config(MeshConfig(size=32), sizes)(attrs.evolve(scene, close_up=everywhere))
    torch.testing.assert_close(drawn.close_up, scene.close_up.remembered[:, :, 1])


@torch.no_grad()
def test_untrained_it_draws_nearly_the_preview(sizes):
    scene = make_batch(sizes).scene
    torch.manual_seed(0)
    painted = OwnFrame.from_config(OwnFrameConfig(size=32, width=8), sizes)(scene).close_up
    plain = MeshRenderer.from_config(MeshConfig(size=32), sizes)(scene).close_up
    assert (painted - plain).abs().mean() < 0.05
    assert (painted - scene.close_up.own).abs().mean() > 0.05


@torch.no_grad()
def test_the_upsampling_starts_without_a_pattern(sizes):
    painter = OwnFrame.from_config(OwnFrameConfig(size=32, width=8), sizes).painter
    first = painter.to_full.weight.view(8, 4, *painter.to_full.weight.shape[1:])
    assert torch.equal(first, first[:, :1].expand_as(first))


@torch.no_grad()
def test_sound_and_remembered_mouths_matter_where_they_are_used(sizes):
    scene = make_batch(sizes).scene
    alone = OwnFrame.from_config(OwnFrameConfig(size=32, width=8, remembered=0), sizes)
    both = OwnFrame.from_config(OwnFrameConfig(size=32, width=8), sizes)
    heard = attrs.evolve(scene, audio=scene.audio.roll(1, dims=-1))
    other = attrs.evolve(scene.close_up, remembered=scene.close_up.remembered.roll(1, dims=-1))
    shown = attrs.evolve(scene, close_up=other)
    assert not torch.equal(both(heard).frames, both(scene).frames)
    assert not torch.equal(both(shown).frames, both(scene).frames)
    assert torch.equal(alone(shown).frames, alone(scene).frames)


def test_the_preview_has_nothing_to_train(sizes):
    renderer = MeshRenderer.from_config(MeshConfig(), sizes)
    assert not renderer.trainable
    assert not list(renderer.parameters())
    with pytest.raises(TypeError, match="MeshRenderer"):
        renderer.training_objectives(make_batch(sizes), 0.0)


def test_a_scene_without_a_close_up_is_refused(renderer, sizes):
    with pytest.raises(ValueError, match="the scene has no close-up"):
        renderer(attrs.evolve(make_batch(sizes).scene, close_up=None))
