"""Fragmented MP4 against FFmpeg's demuxer and decoders: every picture and sound at its time."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from vast_core.api import Marks
from vast_core.interfaces import SAMPLE_RATE
from vast_core.media import SPOKEN
from vast_live.fragments import FragmentWriter

LIGHT, CLICK = 220, 0.8


def parts_of(fps, seconds, marks, size=(64, 48), left_out=()):
    """The stream of a dark, silent film in which the frames ``marks`` are light and begin with a click."""
    writer = FragmentWriter(size, fps, Marks())
    parts = [writer.beginning]
    sample = [round(n / fps * SAMPLE_RATE) for n in range(round(seconds * fps) + 1)]
    for number in range(round(seconds * fps)):
        frame = np.full((*size, 3), LIGHT if number in marks else 30, np.uint8)
        sound = np.zeros(sample[number + 1] - sample[number], np.float32)
        if number in marks:
            sound[:40] = CLICK * np.sin(np.arange(40))
        parts.append(writer.write(None if number in left_out else frame, sound))
    return parts, writer


def decoded(data):
    """Times of light pictures and of clicks, and the number of pictures."""
    light, clicks, count = [], [], 0
    with av.open(io.BytesIO(data)) as film:
        for frame in film.decode(video=0):
            count += 1
            if frame.to_ndarray(format="gray").mean() > 120:
                light.append(frame.time)
    with av.open(io.BytesIO(data)) as film:
        for frame in film.decode(audio=0):
            wave = np.abs(frame.to_ndarray()[0])
            if wave.max() > CLICK / 3:
                clicks.append(frame.time + int(np.argmax(wave > CLICK / 3)) / frame.sample_rate)
    apart = [at for number, at in enumerate(clicks) if number == 0 or at - clicks[number - 1] > 0.1]
    return light, apart, count


@pytest.mark.parametrize("fps", [25, 30, 29.97])
def test_pictures_and_sounds_are_where_they_belong(fps):
    marks = (20, 47, 60)
    parts, writer = parts_of(fps, 3, marks)
    light, clicks, count = decoded(b"".join([*parts, writer.close()]))
    assert count == round(3 * fps)
    np.testing.assert_allclose(light, [mark / fps for mark in marks], atol=1e-4)
    np.testing.assert_allclose(clicks, [mark / fps for mark in marks], atol=2e-3)


def test_each_part_holds_its_picture_at_once():
    """Whoever has the first n parts sees n pictures: nothing is held back."""
    parts, _ = parts_of(25, 1, (3,))
    for have in (1, 4, 13):
        assert decoded(b"".join(parts[: have + 1]))[2] == have


def test_a_picture_left_out_is_shown_again_and_nothing_shifts():
    parts, writer = parts_of(25, 2, (20, 40), left_out=(21, 22, 23))
    light, clicks, count = decoded(b"".join([*parts, writer.close()]))
    assert count == 50
    np.testing.assert_allclose(light, [n / 25 for n in (20, 21, 22, 23, 40)], atol=1e-4)
    np.testing.assert_allclose(clicks, [0.8, 1.6], atol=2e-3)
    with pytest.raises(ValueError, match="the first moment has no picture"):
        FragmentWriter((64, 48), 25, Marks()).write(None, np.zeros(640, np.float32))


@pytest.mark.parametrize("size", [(64, 48), (65, 47)])
def test_the_film_says_what_it_is(size):
    parts, writer = parts_of(25, 0.4, (), size=size)
    data = b"".join(parts)
    with av.open(io.BytesIO(data)) as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        assert (video.codec.name, video.height, video.width) == ("h264", size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert (audio.codec.name, audio.rate, audio.channels) == ("aac", 48_000, 1)
        assert film.metadata["comment"] == SPOKEN
        frame = next(film.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
    assert writer.mime.startswith('video/mp4; codecs="avc1.4d')


@pytest.mark.slow
def test_an_hour_stays_together_within_40_ms():
    """A mark each ten minutes in a simulated hour at a frame rate that is no whole number."""
    fps, minutes = 9.99, 60
    marks = {round(minute * 60 * fps) for minute in range(1, minutes, 10)} | {round(3599 * fps)}
    parts, writer = parts_of(fps, 60 * minutes, marks, size=(16, 16))
    light, clicks, _ = decoded(b"".join([*parts, writer.close()]))
    assert len(light) == len(clicks) == len(marks)
    drift = np.array(clicks) - np.array(light)
    assert np.abs(drift).max() < 0.005, f"sound after picture: {drift}"
