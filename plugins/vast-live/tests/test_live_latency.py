"""``vast latency`` finds what is known: an avatar that is late by a number of frames, and answers made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from vast_core.api import Marks
from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE
from vast_live.commands import latency
from vast_live.fragments import FragmentWriter
from vast_live.measuring import Answer, Sent, figures, marked


def answer_of(wave, *, delay=0.0, late=0, repeated=(), slower=0.0, shown=True):
    """An answer to ``wave`` whose parts come ``delay`` seconds after it; pictures follow the sound by ``late`` frames.

    ``slower`` is by how many seconds each second of the stream takes longer.
    """
    writer, size, chance = FragmentWriter((64, 48), 25, Marks()), 640, np.random.default_rng(0)
    arrivals, loud = (
        [(0.3, writer.beginning)],
        [np.square(wave[at : at + size]).mean() ** 0.5 for at in range(0, len(wave), size)],
    )
    for number in range(len(loud)):
        frame = np.full((64, 48, 3), 60, np.uint8)
        frame[:16] += 6 * (number % 5)  # something that moves, but not with the sound
        if shown:
            frame[40:52, 16:32] = 60 + round(min(1.0, 5 * loud[max(0, number - late)]) * chance.uniform(100, 180))
        part = np.zeros(size, np.float32)
        part[: len(wave[number * size :][:size])] = wave[number * size :][:size]
        when = 0.3 + (number + 1) / 25 * (1 + slower) + delay
        arrivals.append((when, writer.write(None if number in repeated else frame, part)))
    return Answer(0.0, arrivals)


@pytest.mark.parametrize(("delay", "late"), [(0.0, 0), (0.35, 0), (0.35, 3), (0.1, -0)])
def test_known_delays_are_found(delay, late):
    wave, onsets = marked(8)
    found = figures(Sent(0.3, onsets), answer_of(wave, delay=delay, late=late))
    assert (found.marks, found.found) == (8, 8)
    # a moment's sound comes when it has passed, and that of AAC a packet later
    assert 1000 * delay - 5 <= found.sound["median"] <= 1000 * (delay + 0.04 + 1024 / 48_000) + 25
    assert found.picture_after_sound == pytest.approx(40 * late, abs=41)
    assert found.picture["median"] == pytest.approx(found.sound["median"] + found.picture_after_sound)
    assert found.first_frame == pytest.approx(1000 * (0.34 + delay), abs=1)
    assert (found.repeated, abs(found.drift) < 1, abs(found.apart) < 100) == (0, True, True)


def test_later_pictures_are_later_in_the_figures():
    wave, onsets = marked(8)
    after = [figures(Sent(0.3, onsets), answer_of(wave, late=late)).picture_after_sound for late in (0, 2, 6)]
    assert after[1] - after[0] == pytest.approx(80, abs=41)
    assert after[2] - after[0] == pytest.approx(240, abs=41)


def test_repeated_pictures_and_drift_are_found():
    wave, onsets = marked(6)
    count = len(wave) // 640
    found = figures(Sent(0.3, onsets), answer_of(wave, repeated=range(1, count, 2), slower=0.01))
    assert found.repeated == pytest.approx(0.5, abs=0.03)
    assert found.drift == pytest.approx(600, abs=10)


def test_an_answer_without_marks_is_told():
    wave, onsets = marked(3)
    with pytest.raises(InputError, match="has none of the marks"):
        figures(Sent(100.0, onsets), answer_of(0 * wave + 1e-4))


@pytest.mark.slow
def test_the_command_measures_a_served_avatar(serve, bright, tmp_path):
    url = serve(late=5)
    out = tmp_path / "latency.json"
    done = CliRunner().invoke(latency, [url, "--marks", "4", "--json", str(out)], obj=None, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert (found["marks"], found["found"]) == (4, 4)
    assert 0 < found["sound"]["median"] < 400
    assert found["picture_after_sound"] == pytest.approx(200, abs=81)
    assert "microphone to picture" in done.output
    assert bright.alive == set()
    with pytest.raises(InputError, match="no avatar answers there"):
        CliRunner().invoke(latency, ["http://127.0.0.1:9"], obj=None, catch_exceptions=False)


def test_marks_are_irregular_and_short():
    wave, onsets = marked(20)
    assert np.diff(onsets).min() > 1.1
    assert np.diff(onsets).std() > 0.05
    assert np.abs(wave[: round(onsets[0] * SAMPLE_RATE)]).max() == 0
