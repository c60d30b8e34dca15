"""What is cut short, joined, or silent in one track or mix is told from what is merely unusual.

These are the forms of the zoo that once were refused, lost a part, or were silent.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from zoo import pictures, sounds
from zoo.reading import check_pictures, check_sound

from vast_core.errors import MediaError, MediaWarning
from vast_core.media import VideoFile, is_silent, read_wave

TOPICS = ("pipe", "no Xing", "raw", "two ", "three tracks", "opposite", "cut", "one side", "promises", "overflows")

OF_SOUND = [form for form in sounds.forms() if any(topic in form.name for topic in TOPICS)]
OF_VIDEO = [form for form in pictures.forms() if any(topic in form.name for topic in TOPICS)]


@pytest.mark.parametrize("form", OF_SOUND, ids=lambda form: form.name)
def test_sound(form, tmp_path):
    assert check_sound(form, tmp_path) == ""


@pytest.mark.parametrize("form", OF_VIDEO, ids=lambda form: form.name)
def test_video(form, tmp_path):
    assert check_pictures(form, tmp_path) == ""


@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
def test_a_cut_file_names_what_is_missing_however_short_it_is(tmp_path, share):
    whole = sounds.wav()()
    (tmp_path / "a.wav").write_bytes(whole[: 44 + int(share * (len(whole) - 44))])
    with pytest.raises(MediaError, match=r"its header announces 51,200 bytes of sound, of which [\d,]+ are there"):
        read_wave(tmp_path / "a.wav")


def test_pictures_and_sound_of_joined_recordings_stay_together(tmp_path):
    path = tmp_path / "a.ts"
    path.write_bytes(pictures.filmed("mpegts", sound="aac", sound_start=0.3)() * 3)
    video = VideoFile(path, 25)
    numbers = np.array([(frame[:40].mean() - 40) / 3 for frame in video.frames()])
    begins = np.flatnonzero(np.abs(numbers) < 0.5)
    begins = begins[np.diff(begins, prepend=-9) > 2]
    assert len(begins) == 3
    loud = np.flatnonzero(np.abs(video.wave()) > 0.1)
    pauses = loud[:-1][np.diff(loud) > 1200] / 16_000
    inside = [time for time in pauses if np.abs(begins / 25 + 1.0 - time).min() < 0.06]
    assert len(inside) == 3, (begins / 25, pauses)


def test_a_part_of_a_file_in_opposite_phase_is_heard(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(sounds.coded("wav", "pcm_s16le", layout="stereo", mixed=lambda wave: [wave, -wave])())
    with pytest.warns(MediaWarning, match="cancel out"):
        part = read_wave(path, 0.2, 0.3)
    assert np.abs(part).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("left", "right"), [(1.0, 0.1), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, -0.1)])
def test_an_ordinary_mix_stays_a_mix(tmp_path, left, right):
    path = tmp_path / "a.wav"
    path.write_bytes(
        sounds.coded("wav", "pcm_f32le", layout="stereo", mixed=lambda wave: [left * wave, right * wave])()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", MediaWarning)
        assert np.abs(read_wave(path)).max() == pytest.approx(0.5 * abs(left + right) / 2, abs=0.01)


def test_a_constant_is_silence():
    assert is_silent(np.full(1000, 0.3, np.float32))
    assert not is_silent(0.3 + np.sin(np.arange(1000)).astype(np.float32))
