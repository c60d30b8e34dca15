"""Sound that comes in pieces: frames as soon as they are known, styles that change, an avatar that is always in time.

The oracle is the whole: the same sound, decoded at once.
"""

from __future__ import annotations

import asyncio
import threading
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.speak import live as living
from vast_core.speak import stream as streaming
from vast_core.speak.expressing import Expressing, latency, rest_expression
from vast_core.speak.sound import Sound
from vast_core.speak.style_model import StyleModel, decode_whole

FPS = 25
FRAME = SAMPLE_RATE // FPS


class Bare:
    """Stands for the drawing: a frame is its expression."""

    def __init__(self, *_):
        self.left_out = 0

    def next(self, chunk):
        return list(chunk.expression.numpy())

    def skip(self, count=1):
        self.left_out += count

    def close(self):
        pass


@pytest.fixture(scope="module")
def cast():
    registry = Registry.discover()
    pipeline = assemble(load_recipe("vast_tiny", registry, ["audio.look_ahead=0.12"]), registry)
    pipeline.audio.eval()
    model = StyleModel(pipeline).eval()
    with torch.no_grad():  # off the start, where much of the decoder is zero
        for parameter in model.decoder.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.audio_mean.fill_(0.02)
    model.audio_std.fill_(0.1)
    return SimpleNamespace(
        pipeline=pipeline, model=model, renderer=None, base=None, code=lambda style: style, play=lambda: iter(())
    )


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    monkeypatch.setattr(streaming, "Appearing", Bare)
    monkeypatch.setattr(living, "Appearing", Bare)


def style(seed):
    return torch.randn(1, 32, generator=torch.Generator().manual_seed(seed))


def wave_of(seconds, seed=0):
    chance = np.random.default_rng(seed)
    wave = 0.1 * chance.standard_normal(round(seconds * SAMPLE_RATE))
    return (wave * np.sin(np.arange(len(wave)) / 3000)).astype(np.float32)


def cut(wave, size):
    return (wave[at : at + size] for at in range(0, len(wave), size))


def whole(cast, wave, code):
    frames = -(-len(wave) // FRAME)
    return decode_whole(cast.model, cast.pipeline.audio(torch.from_numpy(wave)[None], frames)[0], code).numpy()


def stream_of(cast, chunks, at_once=1, seed=0):
    return streaming.Stream(cast, Sound.of(chunks), style(seed), at_once, 0)


@pytest.mark.parametrize(("size", "at_once"), [(160, 1), (777, 1), (4000, 3), (10**6, 7)])
def test_chunks_of_any_size_give_what_the_whole_gives(cast, size, at_once):
    wave = wave_of(2.71)
    frames = np.stack(list(stream_of(cast, cut(wave, size), at_once)))
    expected = whole(cast, wave, style(0))
    assert expected.std() > 0.01
    np.testing.assert_allclose(frames, expected, atol=1e-3 * expected.std())


def test_a_frame_waits_for_no_more_sound_than_the_latency(cast):
    heard, size = [], 160

    def arriving():
        for chunk in cut(wave_of(4), size):
            heard.append(len(chunk))
            yield chunk

    stream, seconds = stream_of(cast, arriving()), latency(cast.pipeline)
    assert seconds == pytest.approx(cast.pipeline.decoder.lookahead / FPS + cast.pipeline.audio.look_ahead)
    assert cast.pipeline.audio.look_ahead <= 0.12
    for frame, _ in enumerate(islice(stream, 60)):
        assert sum(heard) <= (frame / FPS + seconds) * SAMPLE_RATE + 3 + size


def test_later_sound_changes_no_frame_before_it(cast):
    one, other = wave_of(2, 1), wave_of(2, 2)
    joined = np.concatenate([one[:SAMPLE_RATE], other[SAMPLE_RATE:]])
    known = int((1 - latency(cast.pipeline)) * FPS)
    frames, changed = (np.stack(list(stream_of(cast, cut(w, 500)))) for w in (one, joined))
    np.testing.assert_allclose(frames[:known], changed[:known], atol=1e-6)
    assert np.abs(frames[known:] - changed[known:]).max() > 1e-2


def test_awaited_chunks_give_the_same_frames(cast):
    wave = wave_of(1.3)

    async def arriving():
        for chunk in cut(wave, 900):
            await asyncio.sleep(0)
            yield chunk

    async def collect():
        return [frame async for frame in stream_of(cast, arriving())]

    expected = list(stream_of(cast, cut(wave, 900)))
    np.testing.assert_array_equal(np.stack(asyncio.run(collect())), np.stack(expected))
    with pytest.raises(InputError, match="use `async for`"):
        next(stream_of(cast, arriving()))


def test_a_style_changes_over_a_third_of_a_second_without_a_jump(cast):
    quiet, one, two = np.zeros(4 * SAMPLE_RATE, np.float32), style(0), style(1)
    stream = stream_of(cast, cut(quiet, 640))
    before = list(islice(stream, 40))[-1]
    stream.style = two
    after = np.stack(list(islice(stream, 40)))
    goal = rest_expression(cast.pipeline, cast.model, two).numpy()
    far = np.abs(goal - rest_expression(cast.pipeline, cast.model, one).numpy()).max()
    steps = np.abs(np.diff(np.stack([before, *after]), axis=0)).max(1)
    assert far > 0.1
    assert steps.max() < far / 3, "no jump"
    assert steps[:8].min() > far / 50, "it begins with the next frame"
    np.testing.assert_allclose(after[-1], goal, atol=0.02 * far)
    stream.style = one
    assert np.abs(next(stream) - after[-1]).max() < far / 3, "it may be changed again"


def test_an_interrupted_stream_closes_its_mouth_and_ends(cast):
    stream = stream_of(cast, cut(wave_of(60), 640))
    list(islice(stream, 30))
    stream.interrupt()
    rest = rest_expression(cast.pipeline, cast.model, style(0)).numpy()
    last = list(stream)
    assert len(last) <= 0.2 * FPS
    np.testing.assert_allclose(last[-1], rest, atol=1e-6)
    early = stream_of(cast, cut(wave_of(1), 640))
    early.interrupt()
    assert list(early) == []


def live_of(cast, seed=0):
    return living.Live(cast, style(seed))


def test_a_live_avatar_shows_what_it_says_however_its_sound_comes(cast):
    """Its own sound, decoded at once, gives its frames; and what it was given is in that sound, in order."""
    live, said, moments = live_of(cast), wave_of(4, 3), []
    moments += islice(live, 7)
    chance, at = np.random.default_rng(0), 0
    while at < len(said):  # pieces of any size, some in time, some late
        size = int(chance.integers(1, 3000))
        live.hear(said[at : at + size])
        at += size
        moments += islice(live, int(chance.integers(0, 9)))
    while live.waiting:
        moments += islice(live, 1)
    moments += islice(live, 20)
    sound = np.concatenate([moment.sound for moment in moments])
    assert len(sound) == len(moments) * FRAME
    expected = whole(cast, sound, style(0))
    known = len(moments) - 10  # the last ones see sound that comes after
    frames = np.stack([moment.frame for moment in moments])
    np.testing.assert_allclose(frames[:known], expected[:known], atol=1e-3 * expected.std())
    np.testing.assert_array_equal(sound[sound != 0], said[said != 0])
    gaps = (sound == 0).sum() - (said == 0).sum()
    assert gaps > 7 * FRAME, "silence fills the gaps"


def test_sound_is_shown_after_the_latency_and_no_later(cast):
    live = live_of(cast)
    list(islice(live, 40))
    live.hear(wave_of(1) + 0.5)
    silent = [not moment.sound.any() for moment in islice(live, 30)]
    assert silent.index(False) / FPS <= live.latency
    assert live.latency <= latency(cast.pipeline) + 0.05


def test_silence_idles_and_late_sound_blocks_nothing(cast):
    never, live = threading.Event(), live_of(cast)

    def hanging():
        yield wave_of(0.5)
        never.wait(20)

    live.follow(hanging())
    moments = list(islice(live, 80))
    never.set()
    rest = rest_expression(cast.pipeline, cast.model, style(0)).numpy()
    for moment in moments[-20:]:
        assert not moment.sound.any()
        np.testing.assert_allclose(moment.frame, rest, atol=0.01 * np.abs(rest).max())


def test_an_interrupted_live_avatar_closes_its_mouth_then_goes_on(cast):
    live = live_of(cast)
    live.hear(wave_of(30) + 0.2)
    list(islice(live, 40))
    live.interrupt()
    assert live.waiting == 0
    rest = rest_expression(cast.pipeline, cast.model, style(0)).numpy()
    closing = list(islice(live, 5))
    np.testing.assert_allclose(closing[-1].frame, rest, atol=1e-6)
    assert not any(moment.sound.any() for moment in closing)
    list(islice(live, 10))
    live.hear(wave_of(2, 5))
    speaking = np.stack([moment.frame for moment in islice(live, 40)])
    assert np.abs(speaking - rest).max() > 0.1
    steps = np.abs(np.diff(np.vstack([closing[-1].frame, speaking]), axis=0)).max()
    assert steps < np.abs(speaking - rest).max(), "it opens without a jump"


def test_a_moment_left_out_takes_its_time(cast):
    one, other = live_of(cast), live_of(cast)
    for live in (one, other):
        live.hear(wave_of(1))
    shown = list(islice(one, 30))
    skipped = [next(other) if number % 3 else other.skip() for number in range(30)]
    for a, b in zip(shown, skipped, strict=True):
        np.testing.assert_array_equal(a.sound, b.sound)
        if b.frame is not None:
            np.testing.assert_array_equal(a.frame, b.frame)
    assert other._appearing.left_out == 10


def test_blocks_of_frames_are_decoded_once(cast):
    """What was heard ahead is not computed again."""
    rows, audio = [], cast.pipeline.audio

    class Counting:
        look_ahead, receptive_field, block = audio.look_ahead, audio.receptive_field, audio.block

        def rows(self, wave, start, stop):
            rows.append(stop - start)
            return audio.rows(wave, start, stop)

    pipeline = SimpleNamespace(audio=Counting(), sizes=cast.pipeline.sizes)
    expressing = Expressing(pipeline, cast.model, Sound.of(cut(wave_of(2), 100)))
    for _ in range(20):
        expressing.next(1, style(0))
    assert sum(rows) == 20 + cast.model.decoder.lookahead
