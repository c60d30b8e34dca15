"""The stage ``evaluate``: which pairs are measured, and which clip prompts another."""

from collections import Counter
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from vast_core.errors import InputError
from vast_core.registry import Registry
from vast_core.runs import PreparedClip
from vast_metrics.config import EvaluateStage
from vast_metrics.prepared import prompt_for, prompt_in
from vast_metrics.stages.held_out import _chosen
from vast_metrics.stages.style_transfer import chosen_pairs, one_a_sentence, styles_of_several_sentences


def clip(name, *, speaker="anna", style="happy", split="held_out", source=None, heard=True):
    return PreparedClip(
        name=name,
        source=source or name,
        speaker=speaker,
        group="",
        weight=1.0,
        style=style,
        split=split,
        start=0,
        frames=50,
        heard=heard,
        offset_ms=0.0,
        image_size=(128, 128),
        file=f"{name}.safetensors",
        notes=(),
    )


class Shelf:
    """A store of these clips."""

    def __init__(self, *clips):
        self.clips, self.main_group = list(clips), ""

    def of(self, split, *, speaker=None, style=None):
        for own in self.clips:
            if own.split == split and speaker in (None, own.speaker) and style in (None, own.style):
                yield own


# --------------------------------------------------------------------------------------------------- pairs


@pytest.mark.parametrize(
    ("targets", "styles", "most"),
    [(12, 6, 48), (8, 6, 24), (12, 6, 47), (5, 6, 17), (4, 2, 8), (4, 2, 48), (100, 3, 48), (1, 6, 4), (0, 6, 4)],
)
def test_pairs_are_even_over_targets_and_styles(targets, styles, most):
    sentences = [clip(f"{number:03d}") for number in range(targets)]
    names = [f"style-{number}" for number in range(styles)]
    pairs = chosen_pairs(sentences, names, most)
    assert len(pairs) == min(most, targets * styles)
    assert len({(pair.target.name, pair.style) for pair in pairs}) == len(pairs), "each pair once"
    for counts in (Counter(pair.style for pair in pairs), Counter(pair.target.name for pair in pairs)):
        assert max(counts.values(), default=0) - min(counts.values(), default=0) <= 1
    if len(pairs) >= styles:
        assert {pair.style for pair in pairs} == set(names)
    assert all(pair.wrong_style != pair.style for pair in pairs)


def test_the_default_recipe_measures_eight_pairs_of_each_style():
    sentences = [clip(f"{speaker}-{sentence}") for speaker, sentence in product("abcd", range(3))]
    styles = [f"style-{number}" for number in range(64, 70)]
    pairs = chosen_pairs(sentences, styles, EvaluateStage().max_pairs)
    assert Counter(pair.style for pair in pairs) == dict.fromkeys(styles, 8)
    assert Counter(pair.target.name for pair in pairs) == {own.name: 4 for own in sentences}
    wrong = Counter(pair.wrong_style for pair in pairs)
    assert max(wrong.values()) <= 2 * min(wrong.values())


def test_a_style_of_one_sentence_has_no_prompt_and_is_no_target():
    clips = [clip("a0", style="happy"), clip("a1", style="happy"), clip("b0", style="sad")]
    words = {"a0": "one", "a1": "two", "b0": "one"}
    assert styles_of_several_sentences(clips, words) == ["happy"]
    assert [own.name for own in one_a_sentence(clips, words)] == ["a0", "a1"]


def test_a_prompt_for_the_transfer_says_something_else_by_somebody_else():
    target = clip("target", speaker="anna", style="sad")
    same_words, own_voice, stranger = clip("a", speaker="bert"), clip("b"), clip("c", speaker="bert")
    words = {"target": "one", "a": "one", "b": "two", "c": "two"}
    assert prompt_in(Shelf(target, same_words, own_voice, stranger), target, "happy", words) is stranger
    assert prompt_in(Shelf(target, same_words, own_voice), target, "happy", words) is own_voice
    with pytest.raises(InputError, match="no held-out clip in happy has a different sentence than target"):
        prompt_in(Shelf(target, same_words), target, "happy", words)


# ------------------------------------------------------------------------------------------------- prompts


def test_the_nearest_kin_prompts_and_training_clips_come_first():
    own = clip("own", source="film")
    kin = [
        clip("other part", source="film", style="sad"),
        clip("same style", split="train"),
        clip("same style by another", speaker="bert", split="train"),
    ]
    strangers = [clip("another style", style="sad", split="train")]
    while kin:
        assert prompt_for(Shelf(*reversed([own, *kin, *strangers])), own) is kin.pop(0)
    with pytest.raises(InputError, match="no other clip shows this style"):
        prompt_for(Shelf(own, *strangers), own)
    trained = clip("trained", split="train")
    assert prompt_for(Shelf(own, clip("held out"), trained), own) is trained


def test_without_labels_the_speaker_stands_for_the_manner():
    own, other = clip("own", style=None), clip("other", style=None)
    assert prompt_for(Shelf(own, clip("bert", speaker="bert", style=None), other), own) is other


def test_a_clip_without_a_prompt_is_left_out_with_its_reason():
    alone, clips = clip("alone", speaker="carl", style=None), [clip("a"), clip("b"), clip("trained", split="train")]
    chosen, left_out = _chosen(Shelf(alone, *clips), 24)
    assert [(own.name, prompt.name) for own, prompt in chosen] == [("a", "trained"), ("b", "trained")]
    assert left_out == {"alone": "no other clip shows this style, so there is no prompt for the model"}


def test_manners_that_were_trained_on_come_before_others():
    clips = [clip("new", style="new"), clip("newer", style="new"), clip("t", split="train"), clip("held")]
    assert [own.name for own, _ in _chosen(Shelf(*clips), 24)[0]] == ["held"]
    assert [own.name for own, _ in _chosen(Shelf(*clips[:2]), 24)[0]] == ["new", "newer"]


# ------------------------------------------------------------------------------------------------ the report


def test_a_section_stands_under_its_targets_and_what_was_left_out_is_listed(tmp_path):
    from vast_metrics.stages.evaluate_report import sections

    figures = {
        "style_transfer": {
            "measure": "distance",
            **{"ours": 1.0, "zero_code": 2.0, "wrong_prompt": 1.5},
            "ratio_to_zero_code": 0.5,
            "ratio_to_wrong_prompt": 0.667,
            "lips": {"ours": 1.0, "zero_code": 2.0, "wrong_prompt": 1.5},
            "unseen_styles": 2,
            "pairs": [{"ours": 1.0, "zero_code": 2.0, "wrong_prompt": 1.5}] * 2,
        },
        "measures": {},
        "held_out": {"clips": [], "left_out": {"alone": "no other clip shows this style"}},
    }
    found = {section.title: section for section in sections(SimpleNamespace(path=tmp_path), figures)}
    assert [(own.target, own.passed) for own in found["Style transfer to held-out styles"].glance] == [
        ("at most 0.6", True),
        ("at most 0.5", False),
    ]
    assert found["Held-out clips"].blocks[0].clips == [("alone", "no other clip shows this style")]
    assert not found["Lips"].blocks


def test_the_stage_is_declared_by_this_package():
    stage = Registry.discover(environ={"VAST_PLUGINS": "metrics"}).stage("evaluate")
    assert stage.distribution in ("vast-avatar", "vast-metrics")
    assert stage.load().__name__ == "vast_metrics.stages.evaluate"
    assert np.isclose(EvaluateStage().max_pairs, 48)
