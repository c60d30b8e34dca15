"""What the storage keeps and what it refuses, with several processes and one that is killed.

``VAST_TEST_DATABASE=postgresql+pg8000://user@host/name`` tries it all on that database, too, which loses its tables.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from sqlalchemy import create_engine, delete, func, insert, select, text, update
from sqlalchemy.exc import DatabaseError, IntegrityError

from vast_core.errors import InputError, StorageError
from vast_study import storage as storage_module
from vast_study.enrolment import enrol, judge_of
from vast_study.rules import Refused
from vast_study.storage import fact, keep_fact, open_storage
from vast_study.study import Question, Study
from vast_study.tables import Base, Judge, Medium, Task, Vote
from vast_study.votes import raw_votes


def make_study(folder):
    def question(name):
        return Question(name=name, title=name, text="?", best="best", worst="worst")

    return Study(
        path=folder / "mos.yaml",
        name="mos",
        title="A study",
        contact="nobody",
        seed=1,
        judges=3,
        block=4,
        questions=(question("sync"), question("nature")),
        systems={"ours": folder, "theirs": folder},
        known=(),
        consent="Please.",
        clips=None,
        database=os.environ.get("VAST_TEST_STUDY"),
    )


@pytest.fixture(params=filter(None, ["sqlite", os.environ.get("VAST_TEST_DATABASE")]))
def storage(request, tmp_path, monkeypatch):
    """A study that is prepared, with one judge who has consented and played every video."""
    if request.param != "sqlite":
        monkeypatch.setenv("VAST_TEST_STUDY", request.param)
        Base.metadata.drop_all(create_engine(request.param))
    found = open_storage(make_study(tmp_path))
    with found.session() as session:
        keep_fact(session, "plan", "a plan")
        for clip in ("a", "b", "c"):
            for system in ("ours", "theirs"):
                session.add(Medium(id=f"{system}{clip}", kind="rated", system=system, clip=clip, digest="", seconds=2))
        trap = {"sync": [2, 2], "nature": [1, 3]}
        session.add(Medium(id="trap", kind="trap", system=None, clip="a", digest="", seconds=2, expected=trap))
        come(session, found.study)
    yield found
    found.close()


def come(session, study):
    judge, link = enrol(session, study)
    judge.consented = 1.0
    for task in session.scalars(select(Task).where(Task.judge_id == judge.id)):
        task.opened, task.played = 10.0, 13.0
    return judge, link


def vote(task, question="sync", score=3, when=20.0):
    return Vote(task_id=task, question=question, score=score, given=when, changed=when, changes=0)


def only_sqlite(storage):
    if storage.engine.name != "sqlite":
        pytest.skip("of SQLite alone")


def first_task(session, position=0):
    return session.scalars(select(Task).where(Task.position == position)).first()


# --------------------------------------------------------------------------------------------- the database


def test_sqlite_writes_to_disk_before_it_says_so(storage):
    only_sqlite(storage)
    with storage.session() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


@pytest.mark.parametrize("change", ["DROP COLUMN links", "ADD COLUMN mood TEXT"])
def test_a_database_of_another_version_is_refused_as_it_is(tmp_path, change):
    study = make_study(tmp_path)
    open_storage(study).close()
    file = study.folder / "study.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"ALTER TABLE judges {change}")
        database.execute("DROP TABLE attempts")
        database.commit()
    name = change.split()[2]
    with pytest.raises(InputError, match=rf"another version .*table judges differs in {name}\); continue with that"):
        open_storage(study)
    with closing(sqlite3.connect(file)) as database:
        assert not database.execute("SELECT name FROM sqlite_master WHERE name = 'attempts'").fetchall()


def test_an_exception_undoes_all(storage):
    def fail(session):
        session.add(vote(first_task(session).id))
        session.flush()
        raise RuntimeError

    with pytest.raises(RuntimeError), storage.session() as session:
        fail(session)
    with storage.reading() as session:
        assert session.scalar(select(func.count(Vote.id))) == 0


def test_a_reader_waits_for_no_writer_and_writes_nothing(storage):
    with storage.session() as writer:
        writer.add(vote(first_task(writer).id))
        writer.flush()
        with storage.reading() as reader:
            assert reader.scalar(select(func.count(Vote.id))) == 0
    with pytest.raises(TypeError, match="is read-only"), storage.reading() as reader:
        first_task(reader).opened = 0.0


def test_a_writer_who_waits_for_too_long_is_told(storage, monkeypatch):
    only_sqlite(storage)
    monkeypatch.setattr(storage_module, "PATIENCE", 0.1)
    other = open_storage_later(storage)
    with storage.session() as session:
        session.execute(select(1))
        with pytest.raises(StorageError, match=r"study\.sqlite: .*locked.*try again"), other.session() as waiting:
            waiting.execute(select(1))
    other.close()


def open_storage_later(storage):
    engine = storage_module._engine(storage.study.path, str(storage.engine.url))
    return storage_module.Storage(storage.study, engine)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "Could not parse"),
        ("oracel://host/name", "oracel"),
        ("mysql+aiomysqlx://host/name", "aiomysqlx"),
        ("mssql+pymssql://host/name", "pymssql"),
    ],
)
def test_a_wrong_database_is_named(tmp_path, url, told):
    with pytest.raises(InputError, match=rf"mos\.yaml: database: .*{told}"):
        open_storage(attrs.evolve(make_study(tmp_path), database=url))


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path):
    pytest.importorskip("pg8000", reason="pip install 'vast-avatar[oracles]'")
    url = "postgresql+pg8000://ann:s3cret@127.0.0.1:1/study"
    with pytest.raises(StorageError, match=r"ann:\*\*\*@127\.0\.0\.1:1/study") as caught:
        open_storage(attrs.evolve(make_study(tmp_path), database=url))
    assert "s3cret" not in str(caught.value)


def test_facts_are_kept(storage):
    with storage.session() as session:
        keep_fact(session, "join", "open")
        keep_fact(session, "join", "closed")
    with storage.reading() as session:
        assert (fact(session, "join"), fact(session, "nothing")) == ("closed", None)


# ------------------------------------------------------------------------------------------------- the rules


@pytest.mark.parametrize("score", [0, 6, -1, 2.5, True, None, "3"])
def test_scores_are_whole_and_from_1_to_5(storage, score):
    with pytest.raises(Refused, match="integer from 1 to 5"), storage.session() as session:
        session.add(vote(first_task(session).id, score=score))


def test_the_table_itself_refuses_a_score_out_of_range(storage):
    with pytest.raises(DatabaseError, match=r"(?i)check"), storage.session() as session:
        session.execute(
            text("INSERT INTO votes (task_id, question, score, given, changed, changes) VALUES (1, 'sync', 6, 1, 1, 0)")
        )


def test_questions_and_tasks_are_known(storage):
    with pytest.raises(Refused, match=r"no question 'beauty' \(it has nature, sync\)"), storage.session() as session:
        session.add(vote(first_task(session).id, "beauty"))
    with pytest.raises(Refused, match="no task 99"), storage.session() as session:
        session.add(vote(99))


def test_one_vote_for_a_task_and_question(storage):
    with storage.session() as session:
        session.add(vote(first_task(session).id))
    with pytest.raises(IntegrityError, match=r"(?i)unique"), storage.session() as session:
        session.add(vote(first_task(session).id))


def test_no_vote_before_the_playback(storage):
    with storage.session() as session:
        judge, _ = enrol(session, storage.study)
        judge.consented = 1.0
        own = session.scalars(select(Task).where(Task.judge_id == judge.id)).first().id
    with pytest.raises(Refused, match=f"task {own} has not been played"), storage.session() as session:
        session.add(vote(own))
    with storage.session() as session:  # both in one go
        session.get(Task, own).played = 15.0
        session.add(vote(own))


def test_no_vote_without_consent_or_after_withdrawal(storage):
    with storage.session() as session:
        judge, _ = enrol(session, storage.study)
        own = session.scalars(select(Task).where(Task.judge_id == judge.id)).first()
        own.played = 15.0
        number, own = judge.id, own.id
    with pytest.raises(Refused, match="judge 2 has not consented"), storage.session() as session:
        session.add(vote(own))
    with storage.session() as session:
        session.get(Judge, number).consented = 1.0
        session.get(Judge, number).withdrawn = 2.0
    with pytest.raises(Refused, match="judge 2 has withdrawn"), storage.session() as session:
        session.add(vote(own))


def test_a_block_ends_complete_and_for_good(storage):
    with pytest.raises(Refused, match="lacks a score in nature, sync"), storage.session() as session:
        first_task(session).closed = 30.0
    with storage.session() as session:
        task = first_task(session)
        session.add_all([vote(task.id), vote(task.id, "nature")])
        task.closed = 30.0
    with pytest.raises(Refused, match="the block of task 1 has ended"), storage.session() as session:
        session.scalars(select(Vote)).first().score = 5
    with pytest.raises(Refused, match=r"closed of task 1 is 30\.0 and must not change"), storage.session() as session:
        first_task(session).closed = None


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [(Task, "played", 99.0), (Task, "judge_id", 2), (Task, "medium_id", "oursb"), (Judge, "consented", None)],
)
def test_what_was_noted_stays(storage, table, name, value):
    def change(session):
        row = session.get(table, 1)
        session.expire(row)  # the old value is looked up where it is not at hand
        setattr(row, name, value)

    with pytest.raises(Refused, match=f"{name} of .* must not change"), storage.session() as session:
        change(session)


def test_nothing_is_removed_nor_written_past_the_rules(storage):
    with storage.session() as session:
        session.add(vote(first_task(session).id))
    with pytest.raises(Refused, match="vote 1 must not be removed"), storage.session() as session:
        session.delete(session.get(Vote, 1))
    for statement in (delete(Vote), update(Task).values(played=None), insert(Vote).values(task_id=1)):
        with pytest.raises(Refused, match="one by one"), storage.session() as session:
            session.execute(statement)
    with storage.reading() as session:
        assert session.get(Vote, 1).score == 3


# ------------------------------------------------------------------------------------------ judges and votes


def test_links_are_kept_as_hashes_only(storage):
    only_sqlite(storage)
    with storage.session() as session:
        judge, link = enrol(session, storage.study)
        assert len(bytes.fromhex(link)) == 16
        assert judge_of(session, link).number == judge.number == 2
        for wrong in ("", link[:-1], link.upper() + "x", "../" + link, judge.link, "0" * 32):
            assert judge_of(session, wrong) is None
    kept = b"".join(file.read_bytes() for file in storage.study.folder.iterdir() if file.is_file())
    assert link.encode() not in kept
    assert bytes.fromhex(link) not in kept


def test_a_judge_gets_every_video_once_and_the_row_of_who_withdrew(storage):
    with storage.session() as session:
        second, _ = enrol(session, storage.study)
        third, _ = enrol(session, storage.study)
        for judge in (second, third):
            tasks = list(session.scalars(select(Task).where(Task.judge_id == judge.id).order_by(Task.position)))
            assert [task.position for task in tasks] == list(range(7))
            assert {task.medium_id for task in tasks} == set(session.scalars(select(Medium.id)))
        assert (second.row, third.row) == (1, 2)
        second.withdrawn = 5.0
        session.flush()
        fourth, _ = enrol(session, storage.study)
        assert (fourth.number, fourth.row) == (4, 1)


def test_nobody_enrols_before_the_videos_are_prepared(tmp_path):
    storage = open_storage(make_study(tmp_path))
    with pytest.raises(Refused, match="have not been prepared; run `vast study serve`"), storage.session() as session:
        enrol(session, storage.study)
    storage.close()


def test_raw_votes_tell_everything(storage):
    with storage.session() as session:
        trap = session.scalars(select(Task).where(Task.kind == "trap")).one()
        rated = session.scalars(select(Task).where(Task.medium_id == "theirsb")).one()
        session.add_all([vote(trap.id, "nature", 2), vote(rated.id, "nature", 5), vote(rated.id, "sync", 4, 21.5)])
        where = {task.id: (task.block, task.position) for task in (trap, rated)}
        other, _ = come(session, storage.study)
        session.flush()
        session.add(vote(session.scalars(select(Task).where(Task.judge_id == other.id)).first().id))
        session.flush()
        other.withdrawn = 40.0
    with storage.reading() as session:
        found = raw_votes(session, storage.study)
        assert len(raw_votes(session, storage.study, withdrawn=True)) == 4
    assert [(own.question, own.score) for own in found if own.clip == "b"] == [("sync", 4), ("nature", 5)]
    own = next(own for own in found if own.clip == "b")
    assert (own.judge, own.kind, own.system, own.seconds, own.latency) == (1, "rated", "theirs", 2.0, 8.5)
    assert (own.block, own.position) == where[rated.id]
    assert own.expected is None
    own = next(own for own in found if own.kind == "trap")
    assert (own.system, own.clip, own.expected) == (None, "a", (1, 3))


# ------------------------------------------------------------------------------------------------- processes

VOTER = """
import random, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from sqlalchemy import select
from test_study_storage import make_study, come, vote
from vast_study.storage import open_storage
from vast_study.tables import Task, Vote

study = make_study(Path({folder!r}))
storage = open_storage(study)
with storage.session() as session:
    judge, _ = come(session, study)
    tasks = list(session.scalars(select(Task.id).where(Task.judge_id == judge.id)))
score = 0
while score < {rounds}:
    for task in tasks:
        with storage.session() as session:
            own = session.scalars(select(Vote).where(Vote.task_id == task)).first()
            if own is None:
                session.add(vote(task, score=1))
            else:
                own.score, own.changes = own.changes % 5 + 1, own.changes + 1
        with storage.reading() as session:
            changes = session.scalars(select(Vote.changes).where(Vote.task_id == task)).one()
        print(task, changes, flush=True)
    score += 1
"""


def voter(storage, rounds):
    code = VOTER.format(tests=str(Path(__file__).parent), folder=str(storage.study.path.parent), rounds=rounds)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_write_at_once(storage):
    voters = [voter(storage, 12) for _ in range(3)]
    for own in voters:
        out, errors = own.communicate(timeout=120)
        assert own.returncode == 0, errors
        assert len(out.splitlines()) == 12 * 7
    with storage.reading() as session:
        assert session.scalar(select(func.count(Vote.id))) == 3 * 7
        assert set(session.scalars(select(Vote.changes))) == {11}
        assert sorted(session.scalars(select(Judge.number))) == [1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_survives_kill_9(storage, seed):
    own = voter(storage, 1_000_000)
    acknowledged = [own.stdout.readline() for _ in range(20)]
    time.sleep(random.Random(seed).uniform(0, 0.1))
    os.kill(own.pid, signal.SIGKILL)
    out, _ = own.communicate(timeout=60)
    assert own.returncode == -signal.SIGKILL
    acknowledged += [line for line in out.splitlines(keepends=True) if line.endswith("\n")]
    assert len(acknowledged) >= 20
    latest = {}
    for line in acknowledged:
        task, changes = map(int, line.split())
        latest[task] = changes
    again = open_storage(storage.study)  # as the next start finds it
    with again.reading() as session:
        kept = {own.task_id: own for own in session.scalars(select(Vote))}
        if again.engine.name == "sqlite":
            assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    again.close()
    for task, changes in latest.items():
        assert kept[task].changes in (changes, changes + 1), "an acknowledged vote is gone"
        assert kept[task].score == (1 if not kept[task].changes else (kept[task].changes - 1) % 5 + 1)
