"""Where the landmarker's weights are looked for, with a server on this machine in place of the official one."""

from __future__ import annotations

import hashlib
import http.server
import threading
from functools import partial

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
