"""Several corpora as one, from a recipe to the chances of being drawn."""

import datetime
from collections import Counter
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import yaml

from vast_core.errors import InputError, RecipeError
from vast_core.interfaces import Consent
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runs.keys import use_key
from vast_core.stages.windows import chances
from vast_corpora.union import UnionCorpus

TINY = {"use": "synthetic", "speakers": 1, "styles": 2, "held_out_styles": 0, "sentences": 1, "held_out_sentences": 1}


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture
def recipe_of(tmp_path, registry):
    """A recipe with a union of the corpora given."""

    def write(*changes, **corpus):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"vast": 1, "corpus": {"use": "union", **corpus}}))
        return load_recipe(tmp_path / "own.yaml", registry, changes, parts=("corpus",))

    return write


@pytest.fixture
def footage(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("anna-1", "anna-2", "ben"):
        (folder / f"{name}.mp4").write_bytes(name.encode())
    return folder


def test_all_clips_in_order_with_group_and_weight(recipe_of, footage, registry):
    recipe = recipe_of(of=[{"use": "folder", "path": "clips"}, TINY], weights=[1, 2.5])
    corpus = assemble(recipe, registry).corpus
    clips = list(corpus.clips())
    assert [clip.name for clip in clips[:3]] == ["anna-1", "anna-2", "ben"]
    assert {corpus.group(clip) for clip in clips[:3]} == {("0 folder", 1.0)}
    assert {corpus.group(clip) for clip in clips[3:]} == {("1 synthetic", 2.5)}
    synthetic = clips[-1]
    other = corpus.counterfactual(synthetic, "style-01")
    assert (other.speaker, other.style) == (synthetic.speaker, "style-01")
    assert corpus.counterfactual(clips[0], "style-01") is None
    assert corpus.with_factors(synthetic, {"smile": 1.0}).factors["smile"] == 1.0
    assert corpus.with_factors(clips[0], {"smile": 1.0}) is None


def test_a_group_is_found_before_the_clips_are_listed(recipe_of, footage, registry):
    recipe = recipe_of(of=[{"use": "folder", "path": "clips"}, TINY])
    clip = list(assemble(recipe, registry).corpus.clips())[-1]
    assert assemble(recipe, registry).corpus.group(clip) == ("1 synthetic", 1.0)


def test_a_group_is_found_when_only_the_first_clip_was_read(recipe_of, footage, registry):
    recipe = recipe_of(of=[{"use": "folder", "path": "clips"}, TINY])
    last = list(assemble(recipe, registry).corpus.clips())[-1]
    corpus = assemble(recipe, registry).corpus
    first = next(iter(corpus.clips()))
    assert corpus.group(last)[0] == "1 synthetic"
    foreign = attrs.evolve(first, name="holiday")
    assert corpus.counterfactual(foreign, "style-00") is None
    with pytest.raises(InputError, match="holiday"):
        corpus.group(foreign)


def test_one_path_for_all_parts_that_have_one(recipe_of, footage, registry):
    parts = [{"use": "folder", "path": "elsewhere"}, TINY]
    corpus = assemble(recipe_of(f"corpus.path={footage}", of=parts), registry).corpus
    assert sum(corpus.group(clip)[0] == "0 folder" for clip in corpus.clips()) == 3


def test_a_recipe_of_a_union_reads_back_equal(recipe_of, footage, registry, tmp_path):
    recipe = recipe_of(of=[{"use": "folder", "path": "clips"}, TINY], weights=[1, 2])
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    again = load_recipe(tmp_path / "again.yaml", registry, parts=("corpus",))
    assert again.corpus == recipe.corpus


def test_the_key_knows_the_code_of_each_part(recipe_of, footage, registry):
    (folder, synthetic) = use_key(recipe_of(of=[{"use": "folder", "path": "clips"}, TINY]).corpus)["parts"]
    assert (folder["use"], synthetic["use"]) == ("folder", "synthetic")
    assert len(folder["source"]) == len(synthetic["source"]) > 0


def test_mistakes_inside_a_part_are_shown_at_their_place(recipe_of):
    with pytest.raises(RecipeError) as shown:
        recipe_of(of=[{"use": "folder", "pth": "clips"}, {"use": "synthetik"}, 3], weights=[1])
    text = str(shown.value)
    assert "corpus.of.0.pth: unknown key; did you mean 'path'?" in text
    assert "corpus.of.1.use: no corpus is called 'synthetik'; did you mean 'synthetic'?" in text
    assert "corpus.of.2: expected a section that names a corpus" in text
    with pytest.raises(RecipeError, match="1 numbers for 2 corpora"):
        recipe_of(of=[TINY, TINY], weights=[1])


def test_two_clips_of_one_name_are_refused(recipe_of, footage, registry):
    parts = [{"use": "folder", "path": "clips"}] * 2
    with pytest.raises(InputError, match=r"anna-1 is a clip of corpus 0 folder and of 1 folder"):
        list(assemble(recipe_of(of=parts), registry).corpus.clips())


HOLDS = Consent(who="Ann", purpose="a page")
ENDS = Consent(who="Ann", purpose="a film", until=datetime.date(2027, 1, 1))
WITHDRAWN = Consent(who="Ann", purpose="a talk", withdrawn=datetime.date(2027, 1, 1))


@pytest.mark.parametrize(
    ("consents", "expected"),
    [
        ([WITHDRAWN, None], WITHDRAWN),
        ([WITHDRAWN, HOLDS], WITHDRAWN),
        ([HOLDS, ENDS, None], ENDS),
        ([ENDS, WITHDRAWN], WITHDRAWN),  # on the day of a withdrawal it no longer holds
        ([None, HOLDS], HOLDS),
        ([None, None], None),
    ],
)
def test_the_consent_that_ends_first_holds(consents, expected):
    for order in (consents, consents[::-1]):
        parts = {str(n): (SimpleNamespace(consents=lambda own=own: {"ann": own}), 1.0) for n, own in enumerate(order)}
        assert UnionCorpus(parts).consents() == {"ann": expected}


def test_groups_are_drawn_by_weight_and_clips_by_length():
    frames = {"a": [100, 300], "b": [50]}
    weight = {"a": 1.0, "b": 3.0}
    clips = [SimpleNamespace(group=g, weight=weight[g], frames=n) for g, own in frames.items() for n in own]
    found = chances(clips)
    np.testing.assert_allclose(found, [0.25 / 4, 0.75 / 4, 3 / 4])
    drawn = Counter(np.random.default_rng(0).choice(3, 40_000, p=found).tolist())
    assert drawn[2] / drawn[1] == pytest.approx(4, rel=0.05)
    with pytest.raises(InputError, match="weight 0"):
        chances([SimpleNamespace(group="a", weight=0.0, frames=9)])
