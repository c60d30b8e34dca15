"""The studio, asked by programs: uploads, work in a queue, restarts, deletion, and who is refused."""

from __future__ import annotations

import datetime
import io
import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import attrs
import av
import httpx
import numpy as np
import pytest
import yaml
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from vast_core.errors import InputError
from vast_live import styles as styles_module
from vast_live.limits import Limits
from vast_live.serving import listening
from vast_live.studio import speaking as speaking_module
from vast_live.studio.application import studio
from vast_live.studio.project import Place
from vast_live.studio.receiving import StudioLimits
from vast_live.studio.shelf import Shelf
from vast_live.studio.speaking import Speaking
from vast_live.studio.workshop import Workshop

WORKER = """
import json, pathlib, signal, sys, time
kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with (folder / "done.txt").open("a") as file:
    file.write(kind + " begins\\n")
sys.path.insert(0, sys.argv[3])
from vast_live.studio.parent import end_with_parent
end_with_parent()
while not (folder.parent / f"go-{kind}").exists():
    time.sleep(0.02)
if (folder.parent / f"fail-{kind}").exists():
    sys.exit("some words\\nError: the disk is full")
if kind == "look":
    level = "stop" if (folder.parent / "useless").exists() else "good"
    found = [{"level": level, "title": "The light is good", "advice": ""}]
    seen = {"seconds": 3.0, "fps": 25.0}
    (folder / "pictures" / "look-0.jpg").write_bytes(b"a picture")
    told = {"version": 1, "seen": seen, "findings": found, "pictures": ["look-0.jpg"]}
    (folder / "findings.json").write_text(json.dumps(told))
else:
    run = folder / "runs" / kind / "samples"
    run.mkdir(parents=True, exist_ok=True)
    (run / "me.mp4").write_bytes(b"a film")
    (folder / "cache").mkdir(exist_ok=True)
    (folder / "cache" / "track").write_bytes(b"1234")
with (folder / "done.txt").open("a") as file:
    file.write(kind + " ends\\n")
"""


def film(seconds=1.0, size=(48, 64)):
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number in range(round(seconds * 25)):
            image = np.full((*size, 3), number % 200, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


@attrs.define
class Room:
    """A studio for tests, whose work is done by ``WORKER`` when :meth:`go` allows it."""

    folder: Path
    script: Path
    limits: StudioLimits = attrs.field(factory=StudioLimits)

    @contextmanager
    def open(self, local=True):
        shelf = Shelf(self.folder)
        source = str(Path(speaking_module.__file__).parents[2])
        workshop = Workshop(
            shelf, lambda kind, place: [sys.executable, str(self.script), kind, str(place.folder), source]
        )
        speaking = Speaking(shelf, Limits(), None, 0.12)
        with (
            listening(studio(shelf, workshop, speaking, self.limits, local=local)) as url,
            httpx.Client(base_url=url, timeout=30) as client,
        ):
            yield client

    def go(self, *kinds):
        for kind in kinds:
            (self.folder / f"go-{kind}").touch()

    def halt(self, *kinds):
        for kind in kinds:
            (self.folder / f"go-{kind}").unlink(missing_ok=True)


@pytest.fixture
def room(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    (tmp_path / "room").mkdir()
    return Room(tmp_path / "room", script)


def send(client, content=None, name="Ann", file="clip.mp4", agreed="yes", purpose="Our page", until="", **more):
    form = {"name": name, "file": file, "agreed": agreed, "purpose": purpose, "until": until}
    return client.post("/projects", params=form, content=film() if content is None else content, **more)


def until(client, number, true, seconds=60):
    end = time.monotonic() + seconds
    while not true(found := client.get(f"/projects/{number}").json()):
        assert time.monotonic() < end, found
        time.sleep(0.03)
    return found


def avatar_of(client):
    """The number of a project whose clip was looked at and made into an avatar."""
    number = send(client).json()["id"]
    until(client, number, state("look", "done"))
    client.post(f"/projects/{number}/make/quick")
    until(client, number, state("quick", "done"))
    return number


def wait(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def state(kind, *states):
    return lambda found: found["works"].get(kind, {}).get("state") in states


# -------------------------------------------------------------------------------------------------------- uploads


def test_a_clip_is_kept_whole_looked_at_and_made_into_an_avatar(room):
    content = film()
    with room.open() as client:
        made = send(client, content, name="  Ann  Müller ").json()
        assert made["name"] == "Ann Müller"
        place = Place(room.folder / made["id"])
        assert (place.footage / "Ann Müller" / "clip.mp4").read_bytes() == content
        assert client.post(f"/projects/{made['id']}/make/quick").status_code == 409, "it was not looked at yet"
        room.go("look")
        looked = until(client, made["id"], state("look", "done"))
        assert (looked["usable"], looked["tracked"], looked["speaks"]) == (True, ["look-0.jpg"], None)
        assert client.get(f"/projects/{made['id']}/pictures/look-0.jpg").content == b"a picture"
        assert client.post(f"/projects/{made['id']}/make/quick").status_code == 202
        until(client, made["id"], state("quick", "running"))
        room.go("quick")
        assert until(client, made["id"], state("quick", "done"))["speaks"] == "quick"
        assert client.get(f"/projects/{made['id']}/sample/quick").content == b"a film"
        assert [own["id"] for own in client.get("/projects").json()["projects"]] == [made["id"]]


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"content": b"no video at all"}, 400, "cannot be read as a video"),
        ({"content": b""}, 400, "cannot be read as a video"),
        ({"file": "clip.exe"}, 400, "this is no video"),
        ({"file": "clip"}, 400, "this is no video"),
        ({"agreed": "no"}, 400, "has agreed"),
        ({"purpose": " "}, 400, "what the avatar is for"),
        ({"purpose": "x" * 201}, 400, "at most 200"),
        ({"until": "soon"}, 400, "as a date"),
        ({"until": "2020-12-31"}, 400, "is over"),
        ({"name": " "}, 400, "a name"),
        ({"name": "../../etc"}, 400, "none of /"),
        ({"name": "x" * 41}, 400, "at most 40"),
        ({"name": "a\x00b"}, 400, "at most 40"),
        ({"content": bytes(1_200_000)}, 413, "larger than 1 MB"),
        ({"content": film(7)}, 413, "minutes long"),
        ({"headers": {"origin": "https://elsewhere.example"}}, 403, "other sites"),
        ({"headers": {"host": "elsewhere.example"}}, 403, "other sites"),
        ({"headers": {"origin": "http://[half"}}, 403, "other sites"),
        ({"headers": {"host": "[half"}}, 403, "other sites"),
    ],
)
def test_a_bad_upload_costs_one_message_and_leaves_nothing(room, changes, status, message):
    room.limits = StudioLimits(megabytes=1, minutes=0.1)
    with room.open() as client:
        answer = send(client, **changes)
        assert answer.status_code == status, answer.text
        assert message in answer.json()["error"]
        assert [path.name for path in room.folder.iterdir()] == [".lock"]
        assert client.get("/projects").json()["projects"] == []


@pytest.mark.parametrize(("until", "kept"), [("", {}), ("2999-12-31", {"until": datetime.date(2999, 12, 31)})])
def test_what_the_person_has_agreed_to_is_kept_beside_the_clip(room, until, kept):
    with room.open() as client:
        made = send(client, name="no", purpose="  Our: page ", until=until).json()
        place = Place(room.folder / made["id"])
        written = yaml.safe_load((place.footage / "consent.yaml").read_text())
        assert written == {"no": {"who": "no", "purpose": "Our: page", **kept}}
        client.delete(f"/projects/{made['id']}/clip")
        assert not (place.footage / "consent.yaml").exists()


def test_no_more_avatars_than_allowed(room):
    room.limits = StudioLimits(projects=1)
    with room.open() as client:
        assert send(client).status_code == 201
        assert "delete one first" in send(client).json()["error"]


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "CON", "a:b|c?", "% x", "名前", "é" * 40])
def test_every_name_is_one_folder_inside_the_studio(room, name):
    with room.open() as client:
        made = send(client, name=name).json()
        (clip,) = (room.folder / made["id"] / "footage").rglob("clip.mp4")
        assert clip.parent.parent.parent.name == made["id"]
        assert not clip.parent.name.startswith(".")


def test_nothing_else_is_given_out(room):
    with room.open() as client:
        made = send(client).json()["id"]
        folder = room.folder / made
        for name in ("look-0.jpg", "look-0.png", "look-0.jpg.part", "look_0.jpg", "me.jpg", "project.json"):
            (folder / "pictures").mkdir(exist_ok=True)
            (folder / "pictures" / name).write_bytes(b"a picture")
            answer = client.get(f"/projects/{made}/pictures/{name}")
            assert answer.status_code == (200 if name == "look-0.jpg" else 404), name
        for kind in ("quick", "train", "look", "other"):
            (folder / "runs" / kind / "samples").mkdir(parents=True)
            (folder / "runs" / kind / "samples" / "me.mp4").write_bytes(b"a film")
            answer = client.get(f"/projects/{made}/sample/{kind}")
            assert answer.status_code == (200 if kind in ("quick", "train") else 404), kind
        for way in ("pictures/..%2Fproject.json", "pictures/%2E%2E%2Fproject.json", "project.json", "footage/"):
            line = HTTPConnection(client.base_url.host, client.base_url.port, timeout=30)
            line.request("GET", f"/projects/{made}/{way}")  # as it is, which httpx does not send
            assert line.getresponse().status == 404, way
            line.close()
        assert client.get(f"/projects/{made}/make/look").status_code == 405
        assert client.get("/projects/0123456789abcdef").json() == {"error": "this is not there any more"}
        assert "default-src 'none'" in client.get("/").headers["content-security-policy"]


# ----------------------------------------------------------------------------------------------------------- work


def test_one_thing_at_a_time_in_the_order_asked_for(room):
    with room.open() as client:
        room.go("look")
        first, second = (send(client, name=name).json()["id"] for name in ("first", "second"))
        for number in (first, second):
            until(client, number, state("look", "done"))
        client.post(f"/projects/{second}/make/quick")
        client.post(f"/projects/{first}/make/train")
        client.post(f"/projects/{second}/make/quick")  # pressed twice
        until(client, second, state("quick", "running"))
        waits = client.get(f"/projects/{first}").json()["works"]["train"]
        assert (waits["state"], waits["ahead"]) == ("waiting", 1)
        third = send(client, name="third").json()["id"]
        until(client, third, state("look", "done"))  # a look does not wait for what is made
        room.go("quick", "train")
        until(client, first, state("train", "done"))
        assert (room.folder / second / "done.txt").read_text().count("quick begins") == 1


def test_it_goes_on_after_a_restart(room):
    with room.open() as client:
        room.go("look")
        made = send(client).json()["id"]
        until(client, made, state("look", "done"))
        client.post(f"/projects/{made}/make/quick")
        wait(lambda: "quick begins" in (room.folder / made / "done.txt").read_text())
        with pytest.raises(InputError, match="another studio"):
            Shelf(room.folder)
    kept = json.loads((room.folder / made / "project.json").read_text())
    assert kept["works"]["quick"]["state"] == "waiting"
    (room.folder / ".incoming-0000.mp4").write_bytes(b"half a clip")
    (room.folder / ".deleted-0000").mkdir()
    with room.open() as client:
        until(client, made, state("quick", "running"))
        room.go("quick")
        until(client, made, state("quick", "done"))
        assert not list(room.folder.glob(".incoming*")) + list(room.folder.glob(".deleted*"))
    assert (room.folder / made / "done.txt").read_text().count("quick begins") == 2


def test_work_ends_when_the_studio_has_gone(room, tmp_path):
    source = str(Path(speaking_module.__file__).parents[2])
    worker = subprocess.Popen([sys.executable, room.script, "quick", tmp_path, source], stdin=subprocess.PIPE)
    wait((tmp_path / "done.txt").exists)
    assert worker.poll() is None
    worker.stdin.close()  # as when the other end is killed
    assert worker.wait(60) == 143


def test_what_fails_says_why_and_can_be_tried_again(room):
    with room.open() as client:
        room.go("look", "quick")
        made = send(client).json()["id"]
        until(client, made, state("look", "done"))
        (room.folder / "fail-quick").touch()
        client.post(f"/projects/{made}/make/quick")
        assert until(client, made, state("quick", "failed"))["works"]["quick"]["message"] == "the disk is full"
        (room.folder / "fail-quick").unlink()
        client.post(f"/projects/{made}/make/quick")
        assert until(client, made, state("quick", "done"))["works"]["quick"]["message"] == ""


def test_what_is_made_can_be_stopped(room):
    with room.open() as client:
        room.go("look")
        first, second = (send(client, name=name).json()["id"] for name in ("first", "second"))
        for number in (first, second):
            until(client, number, state("look", "done"))
            client.post(f"/projects/{number}/make/quick")
        until(client, first, state("quick", "running"))
        assert client.post(f"/projects/{second}/stop").json()["works"]["quick"]["state"] == "stopped"
        assert client.post(f"/projects/{first}/stop").json()["works"]["quick"]["state"] == "stopped"
        room.go("quick")
        client.post(f"/projects/{first}/make/quick")
        until(client, first, state("quick", "done"))


def test_of_a_useless_clip_nothing_is_made(room):
    room.go("look", "quick")
    with room.open() as client:
        (room.folder / "useless").touch()
        made = send(client).json()["id"]
        assert until(client, made, state("look", "done"))["usable"] is False
        assert "no avatar can be made" in client.post(f"/projects/{made}/make/quick").json()["error"]


# ------------------------------------------------------------------------------------------- deletion and speech


def test_what_is_deleted_is_gone_and_listed(room):
    room.go("look", "quick")
    with room.open() as client:
        made = avatar_of(client)
        gone = client.delete(f"/projects/{made}/clip").json()["deleted"]
        assert [own["what"] for own in gone] == [
            "the clip",
            "tracks and cut pictures of the clip",
            "pictures of the tracker and of the work",
            "findings and logs",
        ]
        assert gone[1]["bytes"] == 4
        left = {path.name for path in (room.folder / made).rglob("*") if path.is_file()}
        assert "clip.mp4" not in left
        assert "me.mp4" in left
        assert client.get(f"/projects/{made}").json()["speaks"] == "quick"
        assert "was deleted" in client.post(f"/projects/{made}/make/train").json()["error"]
        gone = client.delete(f"/projects/{made}").json()["deleted"]
        assert [own["what"] for own in gone] == ["the avatar made without training"]
        assert client.get(f"/projects/{made}").status_code == 404
        assert {path.name for path in room.folder.iterdir()} == {".lock", "go-look", "go-quick"}
    with room.open() as client:
        assert client.get("/projects").json()["projects"] == []


def test_deleting_ends_the_work(room):
    room.go("look")
    with room.open() as client:
        made = send(client).json()["id"]
        until(client, made, state("look", "done"))
        client.post(f"/projects/{made}/make/quick")
        until(client, made, state("quick", "running"))
        assert client.delete(f"/projects/{made}").status_code == 200
        assert not (room.folder / made).exists()
        room.go("quick")
        other = send(client, name="other").json()["id"]
        until(client, other, state("look", "done"))
        client.post(f"/projects/{other}/make/quick")
        until(client, other, state("quick", "done"))


def test_each_avatar_speaks_at_its_own_address(room, bright, monkeypatch):
    loaded = []

    def load(run, *_):
        loaded.append(run)
        return bright

    monkeypatch.setattr(speaking_module, "load_avatar", load)
    room.go("look", "quick", "train")
    with room.open() as client:
        made = send(client).json()["id"]
        until(client, made, state("look", "done"))
        assert client.get(f"/speak/{made}/").status_code == 404, "it cannot speak yet"
        client.post(f"/projects/{made}/make/quick")
        until(client, made, state("quick", "done"))
        address = str(client.base_url.join(f"/speak/{made}/live")).replace("http", "ws")
        with connect(address) as visitor:
            assert json.loads(visitor.recv())["mime"].startswith("video/mp4")
        line = socket.create_connection((client.base_url.host, client.base_url.port))
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"ws://elsewhere.example/speak/{made}/live", sock=line)
        page = client.get(f"/speak/{made}/")
        assert 'src="static/live.js"' in page.text
        assert client.get(f"/speak/{made}/static/live.js").status_code == 200
        assert client.get(f"/speak/{made}/avatar").json()["name"] == "bright"
        assert loaded == [room.folder / made / "runs" / "quick"]
        client.post(f"/projects/{made}/make/train")
        until(client, made, state("train", "done"))
        client.get(f"/speak/{made}/avatar")
        assert loaded[1:] == [room.folder / made / "runs" / "train"], "the better one speaks from now on"
        client.delete(f"/projects/{made}")
        assert client.get(f"/speak/{made}/").status_code == 404
        assert client.get("/speak/0123456789abcdef/").status_code == 404


def test_an_avatar_is_deleted_while_it_is_loaded_and_others_are_answered(room, bright, monkeypatch):
    begun, go, closed = threading.Event(), threading.Event(), threading.Event()

    def load(run, *_):
        begun.set()
        assert go.wait(60)
        return bright

    monkeypatch.setattr(speaking_module, "load_avatar", load)
    monkeypatch.setattr(styles_module.Styles, "close", lambda _: closed.set())
    room.go("look", "quick")
    with room.open() as client:
        made = avatar_of(client)
        with ThreadPoolExecutor() as pool:
            try:
                visit = pool.submit(client.get, f"/speak/{made}/avatar", timeout=60)
                assert begun.wait(60)
                deletion = pool.submit(client.delete, f"/projects/{made}", timeout=60)
                wait(lambda: not (room.folder / made).exists(), 20)
                assert client.get("/projects", timeout=20).json()["projects"] == []
                assert not deletion.done()
            finally:
                go.set()
            assert deletion.result().status_code == 200
            visit.result()
        assert closed.is_set(), "what was loaded meanwhile is freed"
        assert client.get(f"/speak/{made}/avatar").status_code == 404
