"""Data of the style stage: lips rest in silence, parts of a batch are its rows, and memory is bounded."""

import numpy as np
import pytest
import torch
from rich.console import Console

from vast_core.interfaces import SAMPLE_RATE, listen
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs.directory import Run
from vast_core.speak.trained import load_face
from vast_core.stages import windows
from vast_core.stages.context import StageContext
from vast_core.stages.windows import Windows
from vast_core.training import Part


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """A small prepared run of synthetic speakers, with the regression alone as decoder."""
    place = tmp_path_factory.mktemp("rest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAST_CACHE", str(place / "cache"))
        registry = Registry.discover()
        changes = ["run=[prepare]", "decoder={use: hybrid, parts: linear}", "renderer=null"]
        recipe = load_recipe("vast_tiny", registry, changes)
        run_recipe(recipe, registry, place / "run")
        run, pipeline = Run(place / "run", recipe, registry), assemble(recipe, registry)
        made = StageContext(run=run, pipeline=pipeline, console=Console(quiet=True))
        load_face(run.weights, pipeline)
        yield made


def test_each_clip_is_followed_by_silence_in_which_its_face_has_shut_lips(context):
    rows = Windows(context).clips()
    clips = [clip for clip in context.store.of("train") if clip.heard]
    assert len(rows) == len(clips)
    silence = listen(context.pipeline.audio, np.zeros(4 * SAMPLE_RATE, np.float32), 100, torch.device("cpu"))[50]
    face, identity = context.pipeline.face, next(iter(context.store.identities.values()))
    for (expression, audio, mask), clip in zip(rows, clips, strict=True):
        own, added = slice(0, clip.frames), slice(clip.frames, None)
        torch.testing.assert_close(expression[own], context.store.read(clip, "expression"))
        assert mask[added].all()
        assert len(mask[added]) == 20  # 0.4 s of digital silence, and of noise
        torch.testing.assert_close(audio[added][:10], silence.expand(10, -1), atol=1e-3, rtol=0)
        opening = face.lip_opening(face.decode(expression, identity))
        rest = opening[added]
        assert (rest - rest[0]).abs().max() < 1e-5
        assert rest[0] < torch.quantile(opening[own][mask[own]], 0.2)


def test_the_means_of_clips_are_known_without_reading_their_sound(context, monkeypatch):
    read, store = [], type(context.store)
    before = store.read
    monkeypatch.setattr(
        store, "read", lambda own, clip, name, *rows: read.append(name) or before(own, clip, name, *rows)
    )
    made = Windows(context)
    assert set(read) == {"expression", "valid"}
    assert not made._rows
    clips = list(context.store.of("train"))
    for clip in clips:
        torch.testing.assert_close(made._centre(clip), made._load(clip)["centre"][0], rtol=0, atol=0)


def test_parts_of_a_batch_are_its_rows_and_a_full_memory_changes_nothing(context, monkeypatch):
    whole = Windows(context)(3, Part())
    monkeypatch.setattr(windows, "KEPT_BYTES", 100_000)
    small = Windows(context)
    parts = [small(3, Part(number, 4)) for number in range(4)]
    assert small._kept <= 100_000
    assert len(small._rows) < len(list(context.store.of("train")))
    assert [label for part in parts for label in part.labels] == list(whole.labels)
    for name in ("expression", "audio", "mask", "prompt", "prompt_audio", "prompt_mask", "heard", "shut", "limit"):
        joined = torch.cat([getattr(part, name) for part in parts])
        torch.testing.assert_close(joined, getattr(whole, name), rtol=0, atol=0, msg=name)
