"""Figures of phone recognition against sums done by hand, and against torchmetrics."""

import json

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_recall

from vast_audio.figures import Tally
from vast_core.phones import PHONE_INDEX, PHONES, VISEME_OF, VISEMES

UNKNOWN = -100


def numbers(text):
    return [UNKNOWN if label == "?" else PHONE_INDEX[label] for label in text.split()]


def test_figures_by_hand():
    tally = Tally()
    #                          right alike wrong missed|right false|unknown
    tally.add(heard=numbers("  P     B     AA   SIL     SIL   S    AA"), said=numbers("P P EH M SIL SIL ?"))
    figures = tally.figures()
    assert figures.phone_speech == pytest.approx(1 / 4)
    assert figures.viseme_speech == pytest.approx(2 / 4)
    assert figures.silence == pytest.approx(4 / 6)
    assert figures.recall["PBM"] == pytest.approx(2 / 3)
    assert figures.recall["EI"] == 0
    assert figures.recall["SIL"] == pytest.approx(1 / 2)
    assert figures.recall["L"] is None
    assert list(figures.recall) == list(VISEMES)
    assert figures.minutes == pytest.approx(6 * 0.02 / 60)
    assert figures.rtf is None


def test_counts_are_by_what_was_said_then_heard():
    tally = Tally()
    tally.add(heard=numbers("T T SIL"), said=numbers("P P ZH"))
    assert tally.phones[PHONE_INDEX["P"], PHONE_INDEX["T"]] == 2
    assert tally.visemes[VISEMES.index("PBM"), VISEMES.index("TDNSZ")] == 2
    assert tally.visemes[VISEMES.index("SHCH"), VISEMES.index("SIL")] == 1
    assert tally.phones.sum() == tally.visemes.sum() == 3


def test_recall_is_that_of_torchmetrics():
    rng = np.random.default_rng(0)
    said, heard = rng.integers(0, len(PHONES), (2, 5000))
    heard[::2] = said[::2]
    tally = Tally()
    tally.add(heard, said)
    group = np.array([VISEMES.index(VISEME_OF[phone]) for phone in PHONES])
    expected = multiclass_recall(
        torch.as_tensor(group[heard]), torch.as_tensor(group[said]), num_classes=len(VISEMES), average=None
    )
    assert list(tally.figures().recall.values()) == pytest.approx(expected.tolist())


def test_a_sum_is_what_both_amount_to_together():
    rng = np.random.default_rng(1)
    said, heard = rng.integers(0, len(PHONES), (2, 300))
    first, second, whole = Tally(), Tally(), Tally()
    first.add(heard[:100], said[:100], computed=0.1)
    second.add(heard[100:], said[100:], computed=0.3, sound=6.0)
    whole.add(heard, said, computed=0.4, sound=8.0)
    assert (first + second).figures() == whole.figures()
    assert whole.figures().rtf == pytest.approx(0.05)


def test_time_that_nobody_measured_is_no_time():
    tally = Tally()
    tally.add(numbers("S S"), numbers("S S"), computed=0.02)
    tally.add(numbers("S S"), numbers("S S"))
    assert tally.figures().rtf == pytest.approx(0.02 / 0.04)


def test_nothing_gives_no_share_and_sound_json():
    figures = Tally().figures()
    assert figures.phone_speech is figures.viseme_speech is figures.silence is None
    written = json.loads(json.dumps(figures.as_json(), allow_nan=False))
    assert set(written) == {"phone_speech", "viseme_speech", "silence", "recall", "minutes", "rtf"}
    assert set(written["recall"].values()) == {None}


def test_unknown_steps_may_be_heard_as_anything():
    tally = Tally()
    tally.add(heard=[99, 3], said=[UNKNOWN, 3])
    assert tally.figures().phone_speech == 1.0
    tally.add(heard=[], said=[])
    assert tally.phones.sum() == 1


@pytest.mark.parametrize(
    ("heard", "said", "message"),
    [
        ([1, 2], [1], r"\(2,\).*\(1,\)"),
        ([[1]], [[1]], r"\(1, 1\)"),
        ([40], [1], "40"),
        ([-1], [1], "-1"),
        ([1], [40], "40"),
    ],
)
def test_steps_that_do_not_fit_are_refused(heard, said, message):
    with pytest.raises(ValueError, match=message):
        Tally().add(heard, said)
