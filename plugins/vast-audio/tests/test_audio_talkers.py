"""The shipped weights on real talkers whose recordings nobody has damaged: the table in the README.

``talkers.tsv`` has what is said in them, put together from recognisers and published texts; nothing was trained on it.
Skipped where the footage is not there.
"""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("pocketsphinx", reason="pip install 'vast-avatar[align]'")

from vast_audio.evaluation import Noise, chosen_clips, evaluate
from vast_audio.recognition import recogniser
from vast_core.media import NAME
from vast_core.registry import Registry

FOOTAGE = Path(__file__).resolve().parents[3] / "../shared/footage"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOOTAGE.is_dir(), reason=f"no real footage at {FOOTAGE}"),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talkers")
    shutil.copy(Path(__file__).with_name("talkers.tsv"), folder / NAME)
    for inner in ("talkers", "others"):
        (folder / inner).symlink_to((FOOTAGE / inner).resolve())
    registry = Registry.discover()
    return registry, chosen_clips(registry, folder)


@pytest.fixture(scope="module")
def clean(clips):
    registry, chosen = clips
    return evaluate(recogniser(registry, "ppg"), chosen)


def test_what_real_people_say_is_heard(clean):
    assert not clean.left_out
    talkers, all_of_them = clean.by_source["talkers"].figures(), clean.total.figures()
    assert all_of_them.minutes > 3.5
    assert talkers.phone_speech > 0.61
    assert talkers.viseme_speech > 0.70
    assert talkers.recall["PBM"] > 0.76
    assert talkers.silence > 0.94
    assert all_of_them.recall["PBM"] > 0.79


def test_noise_takes_little(clips, clean):
    registry, chosen = clips
    noisy = evaluate(recogniser(registry, "ppg"), chosen, Noise(decibels=10.0)).total.figures()
    before = clean.total.figures()
    assert before.phone_speech - noisy.phone_speech < 0.08
    assert before.viseme_speech - noisy.viseme_speech < 0.07
