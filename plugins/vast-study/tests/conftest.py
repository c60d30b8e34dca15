"""A small study with judges, without a browser or a network."""

from __future__ import annotations

import functools
import re
import secrets
import signal
import subprocess
import sys

import av
import httpx
import numpy as np
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from vast_study.enrolment import enrol, fingerprint
from vast_study.headphones import trials
from vast_study.reading import read_study
from vast_study.server.application import application
from vast_study.server.site import Site
from vast_study.storage import keep_fact, open_storage
from vast_study.study import Question, Study
from vast_study.tables import Judge, Medium, Task
from vast_study.votes import raw_votes

SYSTEMS = ("ember-secret", "frost-secret")
"""Names that no judge may ever read."""
TOKEN = "5ca1ab1e" * 4


def question(name, title):
    return Question(name=name, title=title, text=f"How is the {name}?", best=f"Best {name}.", worst=f"Worst {name}.")


def make_study(folder, **changes):
    questions = (
        question("sync", "Speech-Lip Sync"),
        question("expression", "Expressiveness"),
        question("natural", "Ease"),
    )
    values = {
        "path": folder / "study.yaml",
        "name": "talkers",
        "title": "Talking faces",
        "contact": "judges@example.org",
        "seed": 7,
        "judges": 15,
        "block": 3,
        "questions": questions,
        "systems": {name: folder / name for name in SYSTEMS},
        "known": (),
        "consent": "We keep your scores.\n\nWe keep no name.",
        "clips": None,
        "database": None,
    }
    return Study(**values | changes)


class Room:
    """A study that is served in this process, at a time that the test sets."""

    def __init__(self, folder, **changes):
        self.now = 1_700_000_000.0
        self.study = make_study(folder, **changes)
        self.storage = open_storage(self.study)
        self.study.media.mkdir(parents=True)
        with self.storage.session() as session:
            keep_fact(session, "plan", "of the test")
            for clip in ("one", "two", "three"):
                for system in self.study.shown:
                    left = SYSTEMS[1] if self.study.test == "preference" else None
                    self._medium(session, "rated", system, clip, left=left)
            expected = {"sync": [4, 5], "natural": [2, 2]} if self.study.test == "ratings" else {}
            self._medium(session, "training", None, "practice", expected=expected, feedback="The lips match well.")
        self.site = Site(
            study=self.study,
            storage=self.storage,
            key="key of the test",
            experimenter=fingerprint(TOKEN),
            clock=lambda: self.now,
        )
        self.token = TOKEN
        self.app = application(self.site)

    def _medium(self, session, kind, system, clip, **known):
        name = secrets.token_hex(16)
        (self.study.media / f"{name}.mp4").write_bytes(name.encode() * 100)
        session.add(Medium(id=name, kind=kind, system=system, clip=clip, digest="", seconds=4.0, **known))

    def client(self, **options):
        return TestClient(
            self.app, "http://study.test", raise_server_exceptions=False, follow_redirects=False, **options
        )

    def invite(self):
        with self.storage.session() as session:
            return enrol(session, self.study)[1]

    def visitor(self):
        """A person who is not known yet."""
        return Person(self, "")

    def judge(self, *, until="training"):
        """A person at a browser, who has come as far as ``until``."""
        person = Person(self, self.invite())
        person.open()
        if until == "consent":
            return person
        person.agree()
        if until == "headphones":
            return person
        person.hear()
        if until == "training":
            return person
        person.practise()
        return person

    def rows(self, table, **where):
        with self.storage.reading() as session:
            found = list(session.scalars(select(table).filter_by(**where)))
            session.expunge_all()
        return found


class Person:
    """What a judge does, by plain forms."""

    def __init__(self, room, link):
        self.room, self.link, self.client = room, link, room.client()
        self._token = None

    def get(self, path, **options):
        return self.client.get(path, **options)

    def token(self, path):
        return re.search(r'name="csrf" value="([0-9a-f]+)"', self.get(path).text)[1]

    def post(self, path, fields=None, *, token=None, json=False, **options):
        headers = {"Accept": "application/json"} if json else {}
        headers |= options.pop("headers", {})
        if token is None:
            token = self._token = self._token or self.token("/withdraw")
        data = {"csrf": token} | (fields or {})
        return self.client.post(path, data=data, headers=headers, **options)

    @property
    def row(self):
        return self.room.rows(Judge, link=fingerprint(self.link))[0]

    @property
    def tasks(self):
        return sorted(self.room.rows(Task, judge_id=self.row.id), key=lambda task: task.position)

    def open(self):
        reply = self.get(f"/j/{self.link}")
        assert reply.status_code == 303, reply.text

    def agree(self):
        assert self.post("/consent", {"answer": "agree"}, token=self.token("/consent")).status_code == 303

    def hear(self):
        answers = trials(self.room.study.seed, self.row.number, 0)
        fields = {f"trial-{i}": str(trial.answer) for i, trial in enumerate(answers, 1)}
        assert self.post("/headphones", {"attempt": "0"} | fields).status_code == 303
        assert self.row.heard == self.room.now

    def watch(self, position):
        assert self.get(f"/clip/{position}").status_code == 200
        self.room.now += 5
        assert self.post(f"/clip/{position}/played").status_code == 303

    def score(self, position, *values, json=False):
        names = [each.name for each in self.room.study.questions]
        fields = {f"score-{name}": str(value) for name, value in zip(names, values, strict=False)}
        return self.post(f"/clip/{position}/scores", fields, json=json)

    def practise(self):
        for task in self.tasks:
            if task.block == 0:
                self.watch(task.position + 1)
                given = (4, 3, 2) if self.room.study.test == "ratings" else (1, 2, 1)
                assert self.score(task.position + 1, *given).status_code == 303
                assert self.post(f"/clip/{task.position + 1}/practised").status_code == 303


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.storage.close()


@pytest.fixture
def offering_room(tmp_path):
    """A study that lets judges go on without headphones."""
    made = Room(tmp_path, headphones="offered")
    yield made
    made.storage.close()


@pytest.fixture
def choosing_room(tmp_path):
    """A preference test of the same systems."""
    made = Room(tmp_path, test="preference")
    yield made
    made.storage.close()


@pytest.fixture
def study_of(tmp_path):
    """Makes studies in memory, with some values changed."""
    return functools.partial(make_study, tmp_path)


# ---- a real server in a process of its own ----


def write_clip(path, seconds=1.0, shade=90):
    """A video of one shade with a tone, as H.264 and AAC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = (0.1 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 16000)) / 16000)).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 128, 128, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(round(seconds * 25)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((128, 128, 3), shade, np.uint8))))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())


def write_sources(folder, clips, *, seconds=1.0, **settings):
    """Two systems with ``clips`` videos each, and the study of them, by the program itself."""
    for i, system in enumerate(SYSTEMS):
        for j in range(clips):
            write_clip(folder / system / f"words{j}.mp4", seconds, 40 + 30 * i + 15 * j)
    file = folder / "mos.yaml"
    given = [f"--system={system}={folder / system}" for system in SYSTEMS]
    vast("study", "new", str(file), *given, "--contact", "judges@example.org", "--judges", "100")
    text = file.read_text()
    for name, value in settings.items():
        text, count = re.subn(rf"(?m)^{name}: \d+", f"{name}: {value}", text)
        assert count == 1, name
    file.write_text(text)
    return file


PROGRAM = [sys.executable, "-c", "from vast_core.cli import main; main()"]


def vast(*words):
    return subprocess.run([*PROGRAM, *words], check=True, capture_output=True, text=True).stdout


class Server:
    """``vast study serve`` in a process; ``token`` is known after the first start only."""

    def __init__(self, file):
        self.file, self.study, self.token = file, read_study(file), None
        self.start()

    def start(self):
        command = [*PROGRAM, "study", "serve", str(self.file), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        heard = ""
        for line in self.process.stdout:
            heard += line
            if "Ctrl-C stops" in line:
                break
        found = re.search(r"for judges +(http://\S+)", heard)
        assert found, heard
        self.address = found[1].rstrip("/")
        if token := re.search(r"token +(\w{32})", heard):
            self.token = token[1]

    def run(self, *words):
        """The program, for another command."""
        return vast(*words)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def invite(self, count):
        """Personal links, by the experimenter's page."""
        with httpx.Client(base_url=self.address, follow_redirects=True) as client:
            token = re.search(r'name="csrf" value="(\w+)"', client.get("/experimenter").text)[1]
            page = client.post("/experimenter/login", data={"csrf": token, "token": self.token}).text
            token = re.search(r'name="csrf" value="(\w+)"', page)[1]
            page = client.post("/experimenter/links", data={"csrf": token, "count": str(count)}).text
        return re.findall(r"/j/[0-9a-f]{32}", page)

    def votes(self):
        storage = open_storage(self.study)
        try:
            with storage.reading() as session:
                return raw_votes(session, self.study)
        finally:
            storage.close()


@pytest.fixture
def film():
    """Writes videos of one shade, with a tone."""
    return write_clip


@pytest.fixture
def serve_with(tmp_path):
    """Starts servers of one new study, with lines added to its file; stops them in the end."""
    started = []

    def start(servers, clips, lines, **settings):
        file = write_sources(tmp_path, clips, **settings)
        file.write_text(file.read_text() + lines)
        for _ in range(servers):
            started.append(Server(file))
        return started

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def serve(tmp_path):
    """Starts a server of a new study; stops it in the end."""
    started = []

    def start(clips, **settings):
        started.append(Server(write_sources(tmp_path, clips, **settings)))
        return started[-1]

    yield start
    for server in started:
        server.stop()
