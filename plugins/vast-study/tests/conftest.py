"""A small study with judges, without a browser or a network."""

from __future__ import annotations

import re
import secrets

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from vast_study.enrolment import enrol, fingerprint
from vast_study.headphones import trials
from vast_study.server.application import application
from vast_study.server.site import Site
from vast_study.storage import Judge, Medium, Task, keep_fact, open_storage
from vast_study.study import Question, Study

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
                for system in SYSTEMS:
                    self._medium(session, "rated", system, clip)
            expected = {"sync": [4, 5], "natural": [2, 2]}
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
                assert self.score(task.position + 1, 4, 3, 2).status_code == 303
                assert self.post(f"/clip/{task.position + 1}/practised").status_code == 303


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.storage.close()
