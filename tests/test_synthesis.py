"""Synthesis in chunks equals synthesis of the whole."""

import numpy as np
import pytest
import torch

from vast_core.interfaces import SAMPLE_RATE
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.speak.perform import CHUNK, express
from vast_core.speak.sound import Sound, frames_of
from vast_core.speak.style_model import StyleModel, decode_whole


@pytest.fixture(scope="module")
def pipeline():
    registry = Registry.discover()
    made = assemble(load_recipe("vast_tiny", registry), registry)
    made.audio.eval()
    return made


@pytest.fixture(scope="module")
def model(pipeline):
    own = StyleModel(pipeline).eval()
    with torch.no_grad():  # off the start, where much of the decoder is zero
        for parameter in own.decoder.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    own.audio_mean.fill_(0.02)
    own.audio_std.fill_(0.1)
    return own


def test_one_place_moves_parts_and_keeps_the_face_on_the_cpu():
    registry = Registry.discover()
    made = assemble(load_recipe("vast_tiny", registry), registry)
    made.decoder.train()
    assert made.to(torch.device("meta")) is made
    where = {kind: {str(t.device) for t in part.state_dict().values()} for kind, part in made.parts.items()}
    assert where["face"] <= {"cpu"}
    assert where["decoder"] == where["renderer"] == {"meta"}
    assert made.device == torch.device("meta")
    assert not any(part.training for part in made.parts.values())
    made.to(torch.device("meta"), face=torch.device("meta"))
    assert {str(t.device) for t in made.face.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("seconds", [0.3, 1.28, 5.7])
@torch.no_grad()
def test_chunks_give_what_the_whole_gives(pipeline, model, seconds):
    chance = np.random.default_rng(0)
    wave = (0.1 * chance.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)
    wave *= np.sin(np.arange(len(wave)) / 3000).astype(np.float32)
    code = torch.randn(1, pipeline.sizes.style, generator=torch.Generator().manual_seed(0))
    frames = frames_of(len(wave), pipeline.sizes.fps)
    chunks = list(express(pipeline, model, Sound.of(wave), code))
    assert len(chunks) == -(-frames // CHUNK)
    rows = pipeline.audio(torch.from_numpy(wave)[None], frames)[0]
    assert torch.allclose(torch.cat([chunk.audio for chunk in chunks]), rows, atol=1e-3)
    whole = decode_whole(model, rows, code)
    assert whole.std() > 0.01
    assert torch.allclose(torch.cat([chunk.expression for chunk in chunks]), whole, atol=1e-2 * float(whole.std()))


@pytest.mark.parametrize(("seconds", "frames"), [(1.0, 25), (1.001, 26), (46.31, 1158), (0.0001, 1)])
def test_no_sound_is_cut_off(seconds, frames):
    assert frames_of(round(seconds * SAMPLE_RATE), 25.0) == frames
