"""The server, asked by programs: videos that match their sound, a live stream, limits, and visitors who go."""

from __future__ import annotations

import gc
import io
import json
import os
import threading
import time

import av
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from vast_core.interfaces import SAMPLE_RATE
from vast_live.fragments import FragmentWriter
from vast_live.limits import Limits
from vast_live.talk import Talk


def sound_file(wave, form="wav"):
    out = io.BytesIO()
    with av.open(out, "w", format=form) as file:
        stream = file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((wave[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def beeps(seconds, times, length=0.2):
    wave = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for at in times:
        n = round(length * SAMPLE_RATE)
        wave[round(at * SAMPLE_RATE) :][:n] = 0.5 * np.sin(np.arange(n) * 0.3)
    return wave


def film(data):
    """Times, brightness of the middle and of the corner of the pictures; wave and its rate."""
    with av.open(io.BytesIO(data)) as file:
        frames = [(f.time, f.to_ndarray(format="gray")) for f in file.decode(video=0)]
    with av.open(io.BytesIO(data)) as file:
        wave = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    times = np.array([at for at, _ in frames])
    return (
        times,
        np.array([p[24:40, 16:32].mean() for _, p in frames]),
        np.array([p[2:6, 2:6].mean() for _, p in frames]),
        wave,
    )


def until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


# ------------------------------------------------------------------------------------------------------- requests


def test_a_video_shows_and_says_what_it_is_sent(serve):
    url, wave = serve(), beeps(2.3, (0.4, 1.6))
    answer = httpx.post(f"{url}/speak", files={"audio": ("a.wav", sound_file(wave))}, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    times, middle, corner, heard = film(answer.content)
    assert len(times) == 58
    bright = times[middle > 120]
    expected = [n / 25 for start in (10, 40) for n in range(start, start + 5)]
    np.testing.assert_allclose(bright, expected, atol=1e-3)
    loud = np.flatnonzero(np.abs(heard) > 0.2) / 48_000
    assert abs(loud[0] - 0.4) < 0.005
    assert abs(loud[-1] - 1.8) < 0.01
    assert abs(corner.mean() - 128) < 8, "the neutral style"


def test_the_first_part_of_a_video_comes_before_the_last_is_made(serve):
    url = serve(seconds=0.05)
    begin = time.monotonic()
    with httpx.stream("POST", f"{url}/speak", files={"audio": sound_file(beeps(3, ()))}, timeout=30) as answer:
        parts = answer.iter_raw()
        next(parts), next(parts)
        first = time.monotonic() - begin
        rest = sum(1 for _ in parts)
    assert rest > 20
    assert first < (time.monotonic() - begin) / 3


@pytest.mark.parametrize(
    ("form", "files", "level"),
    [
        ({"style": "happy"}, {}, 228),
        ({"style": "sad", "strength": "0.5"}, {}, 78),
        ({"factors": '{"smile": 0.5}'}, {}, 178),
        ({}, {"style": ("clip.mp4", b"a clip")}, 208),
        ({"text": "Hello.", "style": "happy"}, {}, 228),
    ],
)
def test_a_style_is_a_name_or_a_clip(serve, form, files, level):
    sound = {} if "text" in form else {"audio": ("a.wav", sound_file(beeps(0.4, ())))}
    answer = httpx.post(f"{serve()}/speak", data=form, files={**sound, **files, "x": b""}, timeout=60)
    assert answer.status_code == 200, answer.text
    times, _, corner, wave = film(answer.content)
    assert abs(corner[-1] - level) < 12
    if "text" in form:
        assert len(times) > 8
        assert np.abs(wave).max() > 0.05


@pytest.mark.parametrize(
    ("form", "files", "status", "message"),
    [
        ({}, {}, 400, "no file `audio`"),
        ({}, {"audio": ("a.wav", b"no sound")}, 400, "a.wav"),
        ({"style": "nobody"}, {"audio": "sound"}, 400, "no style 'nobody'"),
        ({"style": "/etc/passwd"}, {"audio": "sound"}, 400, "is no name"),
        ({"style": "../x.mp4"}, {"audio": "sound"}, 400, "is no name"),
        ({"strength": "much"}, {"audio": "sound"}, 400, "`strength` is a number"),
        ({"strength": "nan"}, {"audio": "sound"}, 400, "`strength` is a number"),
        ({"factors": "[1]"}, {"audio": "sound"}, 400, "`factors` has a number"),
        ({}, {"audio": "sound", "style": ("a.mp4", b"no face")}, 400, "shows no face"),
        ({}, {"audio": ("a.wav", b"x" * 3_000_000)}, 413, "larger than 2 MB"),
        ({}, {"audio": "long"}, 413, "longer than 3 s"),
    ],
)
def test_what_is_wrong_is_told(serve, bright, form, files, status, message):
    url = serve(Limits(megabytes=2, sound=3.0))
    known = {"sound": sound_file(beeps(0.2, ())), "long": sound_file(beeps(4, ()))}
    files = {name: ("a.wav", known[file]) if isinstance(file, str) else file for name, file in files.items()}
    answer = httpx.post(f"{url}/speak", data=form, files={**files, "x": b""}, timeout=30)
    assert answer.status_code == status, answer.text
    if message == "a.wav":
        assert answer.json()["error"]
    else:
        assert message in answer.json()["error"]
    assert bright.alive == set()
    assert httpx.get(f"{url}/avatar").status_code == 200, "it goes on"


def test_a_clip_is_read_once_and_used_by_name(serve):
    url = serve(Limits(styles=1))
    found = httpx.post(f"{url}/style", files={"clip": ("me.mp4", b"a clip of me")}).json()
    form, sound = {"style": found["name"]}, {"audio": sound_file(beeps(0.2, ()))}
    assert abs(film(httpx.post(f"{url}/speak", data=form, files=sound).content)[2][-1] - 208) < 12
    httpx.post(f"{url}/style", files={"clip": ("you.mp4", b"a clip of you")})
    assert "no style" in httpx.post(f"{url}/speak", data=form, files=sound).json()["error"], "the oldest is forgotten"


def test_pages_and_descriptions(serve):
    url = serve()
    for path, kind in (("/", "text/html"), ("/docs", "text/html"), ("/static/live.js", "javascript")):
        answer = httpx.get(url + path)
        assert kind in answer.headers["content-type"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    described = httpx.get(f"{url}/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert set(described["paths"]) == {"/speak", "/style", "/avatar"}
    assert httpx.get(f"{url}/nothing").json() == {"error": "there is no such page"}
    told = httpx.get(f"{url}/avatar").json()
    assert (told["name"], told["size"], told["styles"]) == ("bright", [64, 48], ["happy", "sad"])


# ----------------------------------------------------------------------------------------------------------- live


class Visitor:
    """A program that visits the live avatar."""

    def __init__(self, url, **options):
        self.socket = connect(url.replace("http", "ws") + "/live", max_size=None, compression=None, **options)
        self.messages, self.parts = [], []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for message in self.socket:
                if isinstance(message, bytes):
                    self.parts.append(message)
                else:
                    self.messages.append(json.loads(message))
        except ConnectionClosed:
            pass

    def ask(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self, wave):
        self.socket.send((wave * 32767).astype("<i2").tobytes())

    def told(self, name):
        return [message[name] for message in self.messages if name in message]

    def film(self):
        return film(b"".join(list(self.parts)))

    def leave(self):
        self.socket.close()
        self._thread.join(5)


def test_a_visitor_sees_an_avatar_that_idles_then_speaks(serve):
    visitor = Visitor(serve())
    until(lambda: len(visitor.parts) > 15)
    visitor.hear(beeps(0.6, (0.1,), 0.4))
    until(lambda: len(visitor.parts) > 60)
    visitor.leave()
    assert visitor.messages[0]["mime"].startswith("video/mp4")
    times, middle, _, wave = visitor.film()
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-3)
    assert middle[:14].max() < 50, "it idles"
    bright = times[middle > 100]
    assert len(bright) in (9, 10, 11)
    loud = np.flatnonzero(np.abs(wave) > 0.2) / 48_000
    assert abs(loud[0] - bright[0]) < 0.045, "sound and picture are together"
    assert abs(loud[-1] - loud[0] - 0.4) < 0.02


def test_its_style_changes_and_it_can_be_interrupted(serve):
    visitor = Visitor(serve())
    visitor.ask(do="style", style="happy", strength=1.0, factors={})
    visitor.hear(beeps(20, (0,), 20))
    until(lambda: len(visitor.parts) > 20)
    visitor.ask(do="interrupt")
    until(lambda: len(visitor.parts) > 45)
    visitor.ask(do="style", style="nobody")
    visitor.ask(do="fly")
    visitor.socket.send("not json")
    until(lambda: len(visitor.told("error")) == 3)
    visitor.leave()
    assert visitor.told("style") == ["happy"]
    assert "no style 'nobody'" in visitor.told("error")[0]
    _, middle, corner, _ = visitor.film()
    assert abs(corner[-1] - 228) < 12
    assert middle.max() > 150
    assert middle[40:].max() < 60


def test_text_is_spoken(serve):
    visitor = Visitor(serve())
    visitor.ask(do="say", text="Hello there.")
    visitor.ask(do="say", text=" ")
    until(lambda: visitor.told("error"))
    until(lambda: len(visitor.parts) > 5 and visitor.film()[1].max() > 70, 20)
    visitor.leave()
    assert "the text is empty" in visitor.told("error")[0]


def test_who_goes_leaves_nothing(serve, bright):
    url, before = serve(), threading.active_count()
    for number in range(6):
        visitor = Visitor(url)
        visitor.hear(beeps(3, (0,), 3))
        until(lambda visitor=visitor: len(visitor.parts) > 3)
        assert len(bright.alive) == 1
        if number % 2:
            visitor.leave()
        else:  # the cable is pulled
            visitor.socket.socket.shutdown(2)
        until(lambda: not bright.alive)
    with httpx.stream("POST", f"{url}/speak", files={"audio": sound_file(beeps(30, ()))}) as answer:
        bright.seconds = 0.05
        next(answer.iter_raw())
    until(lambda: not bright.alive)
    until(lambda: not [t for t in threading.enumerate() if t.name == "vast: avatar"])
    assert threading.active_count() < before + 45, "no thread but those of the pool"


@pytest.mark.slow
def test_twenty_clients_who_come_and_go_leak_nothing(serve, bright):
    url = serve()

    def held():
        """Open files, and what was made for a visitor."""
        gc.collect()
        made = [thing for thing in gc.get_objects() if type(thing) in (Talk, FragmentWriter)]
        return len(os.listdir("/dev/fd")), len(made)

    def come_and_go():
        visitors = [Visitor(url) for _ in range(4)]
        for visitor in visitors:
            visitor.hear(beeps(1, (0,), 1))
        until(lambda: all(len(visitor.parts) > 10 for visitor in visitors), 60)
        for number, visitor in enumerate(visitors):
            if number % 2:  # the cable is pulled
                visitor.socket.socket.shutdown(2)
            visitor.leave()
        until(lambda: not bright.alive, 30)
        until(lambda: not [t for t in threading.enumerate() if t.name == "vast: avatar"], 30)
        until(lambda: held()[1] == 0, 30)

    come_and_go()
    files, _ = held()
    for _ in range(5):
        come_and_go()
    until(lambda: held()[0] <= files, 30)  # fewer, if one of the first visitors was still there


def test_no_more_clients_than_places(serve, bright):
    url = serve(Limits(clients=2))
    first, second = Visitor(url), Visitor(url)
    until(lambda: len(bright.alive) == 2)
    third = Visitor(url)
    until(lambda: third.told("error"))
    assert "all places are taken" in third.told("error")[0]
    answer = httpx.post(f"{url}/speak", files={"audio": sound_file(beeps(0.2, ()))})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    first.leave()
    until(lambda: len(bright.alive) == 1)
    assert httpx.post(f"{url}/speak", files={"audio": sound_file(beeps(0.2, ()))}).status_code == 200
    second.leave()


def test_a_visit_ends_after_its_time_and_sound_is_limited(serve, bright):
    visitor = Visitor(serve(Limits(minutes=2 / 60, sound=5.0)))
    visitor.hear(beeps(6, ()))
    until(lambda: visitor.told("error"))
    assert "at most 5 s of sound may wait" in visitor.told("error")[0]
    until(lambda: not bright.alive)


def test_other_sites_are_refused(serve):
    url = serve()
    for origin in ("https://elsewhere.example", "http://[half"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(url.replace("http", "ws") + "/live", origin=origin)
    connect(url.replace("http", "ws") + "/live", origin=url).close()


def test_a_slow_machine_leaves_pictures_out_and_keeps_the_sound(serve):
    visitor = Visitor(serve(seconds=0.1))
    visitor.hear(beeps(2, (0.5, 1.5)))
    until(lambda: len(visitor.parts) > 75)
    visitor.leave()
    times, _, _, wave = visitor.film()
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-3)
    assert visitor.told("left_out")[-1] > 20
    assert visitor.told("stalled")[-1] == 0
    loud = np.flatnonzero(np.abs(wave) > 0.2) / 48_000
    gaps = np.flatnonzero(np.diff(loud) > 0.3)
    assert abs(loud[gaps[0] + 1] - loud[0] - 1.0) < 0.01


def test_a_microphone_that_is_too_fast_does_not_pile_up(serve):
    visitor = Visitor(serve())
    for _ in range(250):  # five seconds of silence in much less
        visitor.hear(np.zeros(320, np.float32))
    until(lambda: len(visitor.parts) > 20)
    assert visitor.told("waiting")[-1] < 0.5
    visitor.leave()
