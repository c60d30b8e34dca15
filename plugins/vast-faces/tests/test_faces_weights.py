"""Where the landmarker's weights are looked for, with a server on this machine in place of the official one."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from functools import partial
from typing import ClassVar

import pytest

from vast_core.errors import WeightsError
from vast_faces import weights

CONTENT = b"a face landmarker, as far as this test goes" * 100


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty places, none of them the machine's own, and no network."""
    for name in ("recipe", "variable", "cache", "server"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(weights, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(weights, "downloads", lambda: tmp_path / "cache" / "vast")
    monkeypatch.setattr(weights, "ADDRESS", "http://127.0.0.1:9/face_landmarker.task")
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    monkeypatch.setattr(weights, "_failures", {})
    return tmp_path


@pytest.fixture
def server(places, monkeypatch):
    """Serves places/server over HTTP on the loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=places / "server")) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(weights, "ADDRESS", f"http://127.0.0.1:{running.server_port}/face_landmarker.task")
        yield places / "server" / weights.NAME
        running.shutdown()


def test_a_path_in_the_recipe_may_be_file_or_folder(places):
    file = places / "recipe" / weights.NAME
    file.write_bytes(CONTENT)
    assert weights.landmarker_bytes(file) == CONTENT
    assert weights.landmarker_bytes(file.parent) == CONTENT


def test_the_variable_names_a_folder(places, monkeypatch):
    monkeypatch.setenv(weights.VARIABLE, str(places / "variable"))
    (places / "variable" / weights.NAME).write_bytes(CONTENT)
    assert weights.landmarker_bytes() == CONTENT


def test_a_download_is_kept_and_not_repeated(places, server):
    server.write_bytes(CONTENT)
    assert weights.landmarker_bytes() == CONTENT
    server.unlink()
    assert weights.landmarker_bytes() == CONTENT
    folder = weights.cache_file().parent
    assert [file.name for file in folder.iterdir()] == [weights.NAME], "no half-written file is left"


def test_a_cache_that_cannot_be_written_does_no_harm(places, server, monkeypatch):
    server.write_bytes(CONTENT)
    (places / "file").write_text("not a folder")
    monkeypatch.setattr(weights, "downloads", lambda: places / "file" / "vast")
    assert weights.landmarker_bytes() == CONTENT


def test_all_four_places_are_named_where_all_fail(places, monkeypatch):
    monkeypatch.setenv(weights.VARIABLE, str(places / "variable"))
    with pytest.raises(WeightsError) as caught:
        weights.landmarker_bytes(places / "recipe")
    message = str(caught.value)
    for place in (str(places / "recipe"), str(places / "variable"), str(places / "cache"), weights.ADDRESS):
        assert place in message
    assert "VAST_WEIGHTS" in message


def test_a_server_without_the_file_is_named(server):
    with pytest.raises(WeightsError, match="download from http://127"):
        weights.landmarker_bytes()


@pytest.mark.parametrize("where", ["recipe", "variable", "cache", "server"])
def test_a_wrong_digest_is_refused_wherever_it_comes_from(places, server, monkeypatch, where):
    damaged = CONTENT[:-1] + b"!"
    file = weights.cache_file() if where == "cache" else places / where / weights.NAME
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(damaged)
    monkeypatch.setenv(weights.VARIABLE, str(places / "variable"))
    with pytest.raises(WeightsError, match=hashlib.sha256(damaged).hexdigest()):
        weights.landmarker_bytes(places / "recipe")
    if where == "server":
        assert not weights.cache_file().exists()


def test_the_pinned_digest_is_that_of_the_real_file():
    assert weights.SHA256 == "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
    assert weights.ADDRESS.startswith("https://storage.googleapis.com/mediapipe-models/face_landmarker/")


def test_a_wrong_file_of_the_users_is_not_to_be_deleted(places, monkeypatch):
    """It may be part of a checkout, and nothing is downloaded in its place."""
    for place in ("recipe", "variable"):
        (places / place / weights.NAME).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    monkeypatch.setenv(weights.VARIABLE, str(places / "variable"))
    with pytest.raises(WeightsError, match="git lfs pull") as caught:
        weights.landmarker_bytes(places / "recipe")
    assert "elete" not in str(caught.value)
    (places / "variable" / weights.NAME).write_bytes(b"another")
    with pytest.raises(WeightsError, match="in its place, or let VAST_WEIGHTS name another") as caught:
        weights.landmarker_bytes()
    assert "elete" not in str(caught.value)


def test_a_network_that_hangs_is_waited_for_once(places, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(9)
        monkeypatch.setattr(weights, "ADDRESS", f"http://127.0.0.1:{listener.getsockname()[1]}/x.task")
        monkeypatch.setattr(weights, "TIMEOUT", 0.3)
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(WeightsError, match="timed out"):
                weights.landmarker_bytes()
        assert time.monotonic() - began < 0.2
        listener.setblocking(False)
        listener.accept()
        with pytest.raises(BlockingIOError):  # no second connection was made
            listener.accept()
        monkeypatch.setattr(weights, "REMEMBERED", 0.0)
        began = time.monotonic()
        with pytest.raises(WeightsError, match="timed out"):
            weights.landmarker_bytes()
        assert time.monotonic() - began > 0.2, "after a while it is asked again"


class Slow(http.server.BaseHTTPRequestHandler):
    """Sends a part of the file and goes away, or sends it drop by drop; asked for a rest, it sends the rest."""

    asked: ClassVar[list[str | None]] = []
    ranges, drops = True, False

    def do_GET(self):
        begin = self.headers.get("Range")
        self.asked.append(begin)
        first = int(begin.removeprefix("bytes=").rstrip("-")) if begin and self.ranges else 0
        content = CONTENT[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.drops:
            for at in range(0, len(content), 100):
                self.wfile.write(content[at : at + 100])
                time.sleep(0.1)
        else:
            self.wfile.write(content if len(self.asked) > 1 else content[:1000])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def slow(places, monkeypatch):
    handler = type("Own", (Slow,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(weights, "ADDRESS", f"http://127.0.0.1:{running.server_port}/x.task")
        monkeypatch.setattr(weights, "REMEMBERED", 0.0)
        yield handler
        running.shutdown()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_goes_on(slow, ranges):
    slow.ranges = ranges
    with pytest.raises(WeightsError, match="1000 of 4300 bytes"):
        weights.landmarker_bytes()
    assert weights.landmarker_bytes() == CONTENT
    assert slow.asked == [None, "bytes=1000-"]
    assert [file.name for file in weights.cache_file().parent.iterdir()] == [weights.NAME]


def test_a_download_has_a_limit(slow, monkeypatch):
    slow.drops = True
    monkeypatch.setattr(weights, "LIMIT", 0.3)
    monkeypatch.setattr(weights, "BLOCK", 100)
    began = time.monotonic()
    with pytest.raises(WeightsError, match=r"bytes came in 0\.3 s; repeat the command to go on"):
        weights.landmarker_bytes()
    assert time.monotonic() - began < 2


class Clock:
    """Time that only passes when a test says so."""

    now = 1000.0

    def monotonic(self):
        return self.now


class Drip:
    """An endless answer of blocks, each after some seconds of the clock; notes how it was asked."""

    status, headers, asked = 200, {}, ()

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.sizes = clock, seconds, []

    def open(self, request, timeout):
        self.asked = (*self.asked, timeout)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def read(self, size):
        self.clock.now += self.seconds
        self.sizes.append(size)
        return b"x" * size


@pytest.mark.parametrize(("seconds", "blocks"), [(20.0, 16), (1e-6, 257)])
def test_a_download_ends_after_five_minutes_or_sixteen_megabytes(places, monkeypatch, seconds, blocks):
    clock = Clock()
    drip = Drip(clock, seconds)
    monkeypatch.setattr(weights, "time", clock)
    monkeypatch.setattr(weights.urllib.request, "urlopen", drip.open)
    with pytest.raises(WeightsError, match="300 s; repeat the command" if seconds > 1 else "is not the expected"):
        weights.landmarker_bytes()
    assert drip.sizes == [65536] * blocks  # 16 x 20 s is the first above 300 s; 257 blocks the first above 16 MiB
    assert drip.asked == (15.0,)


def test_a_failure_is_remembered_for_five_minutes(places, monkeypatch):
    clock, tries = Clock(), []

    def fails(request, timeout):
        tries.append(clock.now)
        raise TimeoutError("timed out")

    monkeypatch.setattr(weights, "time", clock)
    monkeypatch.setattr(weights.urllib.request, "urlopen", fails)
    for now in (1000.0, 1299.0, 1301.0, 1600.0, 1602.0):
        clock.now = now
        with pytest.raises(WeightsError, match="timed out"):
            weights.landmarker_bytes()
    assert tries == [1000.0, 1301.0, 1602.0]
