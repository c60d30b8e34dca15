"""The clips that the prepare stage holds out."""

import pytest

from vast_core.errors import InputError
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.stages import StageContext

SMALL = ("run=[prepare]", "corpus.speakers=2", "corpus.styles=1", "corpus.avatar_seconds=2")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    registry = Registry.discover()

    def prepare(*changes):
        recipe = load_recipe("vast_tiny", registry, [*SMALL, *changes])
        run = run_recipe(recipe, registry, tmp_path / "run")
        context = StageContext(run=run, pipeline=assemble(recipe, registry), console=None)
        return context.store, (tmp_path / "run" / "weights" / "face.safetensors").read_bytes()

    return prepare


def test_a_speaker_held_out_whole_is_not_trained_on_whatever_the_corpus_says(prepared):
    store, face = prepared()
    everyone = {clip.speaker for clip in store.of("train")}
    assert len(everyone) == 2
    without, other_face = prepared(f"stages.prepare.held_out_speakers=[{min(everyone)}]")
    assert {clip.speaker for clip in without.of("train")} == {max(everyone)}
    frames = {
        name: sum(c.frames for c in own.clips if c.speaker == min(everyone))
        for name, own in (("before", store), ("after", without))
    }
    assert frames["after"] == frames["before"] > 0
    assert other_face != face, "the expression basis must not be learned from the held-out speaker"


def test_an_unknown_speaker_to_hold_out_is_named(prepared):
    with pytest.raises(InputError, match=r"held_out_speakers: no speaker 'nobody' in the corpus; its speakers are"):
        prepared("stages.prepare.held_out_speakers=[nobody]")
