"""Synthesis in chunks gives what the whole would give, and plays the base clip forward and back."""

from itertools import islice

import numpy as np
import pytest
import torch

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.speak.avatar import Spool, forward_and_back
from vast_core.speak.perform import CHUNK, express, frames_of
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
    frames = frames_of(wave, pipeline.sizes.fps)
    chunks = list(express(pipeline, model, wave, code, frames))
    assert len(chunks) == -(-frames // CHUNK)
    rows = pipeline.audio(torch.from_numpy(wave)[None], frames)[0]
    assert torch.allclose(torch.cat([audio for _, audio in chunks]), rows, atol=1e-3)
    whole = decode_whole(model, rows, code)
    assert whole.std() > 0.01
    assert torch.allclose(torch.cat([expression for expression, _ in chunks]), whole, atol=1e-2 * float(whole.std()))


def test_forward_and_back():
    assert list(islice(forward_and_back(4), 14)) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    assert list(islice(forward_and_back(1), 3)) == [0, 0, 0]


@pytest.mark.parametrize(("seconds", "frames"), [(1.0, 25), (1.001, 26), (46.31, 1158), (0.0001, 1)])
def test_no_sound_is_cut_off(seconds, frames):
    assert frames_of(np.zeros(round(seconds * SAMPLE_RATE), np.float32), 25.0) == frames


def test_frames_come_back_from_the_spool_as_they_were():
    chance = np.random.default_rng(0)
    frames = [chance.integers(0, 255, (20, 31, 3), np.uint8) for _ in range(5)]
    spool = Spool(iter(frames), 5, "clip")
    assert all(np.array_equal(spool[i], frames[i]) for i in (4, 0, 2))
    folder = spool._path(0).parent
    spool.close()
    assert not folder.exists()


def test_footage_that_became_shorter_is_named():
    frames = [np.zeros((4, 4, 3), np.uint8)] * 3
    with pytest.raises(InputError, match=r"ann_1: only 3 of 5 frames"):
        Spool(iter(frames), 5, "ann_1")
