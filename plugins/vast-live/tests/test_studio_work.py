"""Shelf and workshop of the studio without its page: interruptions, full disks, and what a clip leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager

import attrs
import pytest

from vast_core.errors import InputError, StorageError
from vast_core.interfaces import Consent
from vast_live.studio import shelf as shelf_module
from vast_live.studio.project import Work
from vast_live.studio.shelf import Shelf
from vast_live.studio.workshop import Workshop

PATIENCE = 60
"""Seconds, on a busy machine."""
WORKER = """
import pathlib, signal, sys, time
kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def note(words, code=None):
    with (folder / "done.txt").open("a") as file:
        file.write(words + "\\n")
    if code is not None:
        sys.exit(code)
signal.signal(signal.SIGINT, lambda *_: note("interrupted", 130))
signal.signal(signal.SIGTERM, lambda *_: note("ended", 143))
note(kind + " begins")
while not (go := folder.parent / f"go-{kind}").exists():
    time.sleep(0.02)
sys.exit(go.read_text() or 0)
"""
"""Work that ends when its file `go-KIND` is there: well, or with the words in it."""


def until(true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def worker(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    return lambda kind, place: [sys.executable, str(script), kind, str(place.folder)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "room").mkdir()
    return tmp_path / "room"


@contextmanager
def opened(folder):
    shelf = Shelf(folder)
    try:
        yield shelf
    finally:
        shelf.close()


def added(shelf, name="Ann"):
    """A project whose clip was looked at."""
    clip = shelf.incoming(".mp4")
    clip.write_bytes(b"a clip")
    project = shelf.add(name, clip, Consent(who=name, purpose="tests"))
    return shelf.put(project.id, "look", Work(state="done", asked=0.0))


def state(shelf, project, kind="quick"):
    return shelf.get(project.id).works[kind].state


# --------------------------------------------------------------------------------------------- interruptions


def test_ctrl_c_at_the_terminal_is_not_meant_for_the_work(folder, worker, tmp_path):
    with opened(folder) as shelf:
        project = shelf.put(added(shelf).id, "quick", Work(state="waiting", asked=1.0))
        done = shelf.place(project).folder / "done.txt"
    server = """
        import pathlib, sys, time
        from vast_live.studio.shelf import Shelf
        from vast_live.studio.workshop import Workshop
        shelf = Shelf(pathlib.Path(sys.argv[1]))
        workshop = Workshop(shelf, lambda kind, place: [sys.executable, sys.argv[2], kind, str(place.folder)])
        workshop.start()
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            time.sleep(1)
            workshop.stop()
    """
    command = [sys.executable, "-c", textwrap.dedent(server), folder, tmp_path / "worker.py"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        until(lambda: done.exists() and "begins" in done.read_text())
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert done.read_text().splitlines() == ["quick begins", "ended"]
    with opened(folder) as shelf:
        assert state(shelf, project) == "waiting"
        workshop = Workshop(shelf, worker)
        workshop.start()
        (folder / "go-quick").touch()
        until(lambda: state(shelf, project) == "done")
        workshop.stop()


def test_a_full_disk_fails_one_piece_of_work_and_not_those_after_it(folder, worker):
    with opened(folder) as shelf:
        workshop = Workshop(shelf, worker)
        workshop.start()
        first, second, third = (added(shelf, name) for name in ("first", "second", "third"))
        for project in (first, second, third):
            workshop.ask(project, "quick")
        until(lambda: state(shelf, first) == "running")
        for project in (first, second):  # nothing can take the place of a folder
            shelf.place(project).state.unlink()
            shelf.place(project).state.mkdir()
        (folder / "go-quick").touch()
        until(lambda: state(shelf, third) == "done")
        for project in (first, second):
            work = shelf.get(project.id).works["quick"]
            assert work.state == "failed"
            assert "project.json: cannot be written" in work.message
            shelf.place(project).state.rmdir()
            workshop.ask(project, "quick")
        until(lambda: state(shelf, first) == state(shelf, second) == "done")
        workshop.stop()


def test_a_log_has_the_words_of_one_attempt(folder, worker):
    with opened(folder) as shelf:
        project, workshop = added(shelf), Workshop(shelf, worker)
        workshop.start()
        messages = []
        for words in ("Error: the disk is full", "killed"):
            (folder / "go-quick").write_text(words)
            workshop.ask(project, "quick")
            until(lambda: state(shelf, project) == "failed")
            messages.append(shelf.get(project.id).works["quick"].message)
        workshop.stop()
    assert messages == ["the disk is full", "the process has ended with the code 1; see log-quick.txt"]


# -------------------------------------------------------------------------------------------------- leftovers


def test_a_folder_without_a_record_is_removed_at_the_start(folder):
    with opened(folder) as shelf:
        kept = added(shelf)
    clip = folder / "0123456789abcdef" / "footage" / "Ann" / "clip.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"a clip")
    (folder / "mine").mkdir()
    with opened(folder) as shelf:
        assert [project.id for project in shelf] == [kept.id]
    assert {path.name for path in folder.iterdir()} == {".lock", "mine", kept.id}


def test_a_project_that_cannot_be_written_leaves_nothing(folder, monkeypatch):
    def full(path, results):
        raise StorageError(f"{path}: cannot be written (the disk is full)")

    with opened(folder) as shelf:
        monkeypatch.setattr(shelf_module, "write_results", full)
        with pytest.raises(StorageError, match="the disk is full"):
            added(shelf)
        assert not list(shelf)
    assert [path.name for path in folder.iterdir()] == [".lock"]


PARTS = (
    *("footage/Ann/clip.mp4", "cache/track", "pictures/look-0.jpg", "findings.json", "log-look.txt"),
    *("log-quick.txt", "log-train.txt", "progress-look.json", "progress-train.json"),
)


def worked_on(shelf):
    """A project with an avatar that is done, another that was stopped, and everything that they leave."""
    project = added(shelf)
    place = shelf.place(project)
    for name in (*PARTS, "runs/quick/base.mp4", "runs/train/base.mp4"):
        (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (place.folder / name).write_bytes(b"1234")
    shelf.put(project.id, "train", Work(state="stopped", asked=2.0))
    return shelf.put(project.id, "quick", Work(state="done", asked=1.0))


def test_of_a_deleted_clip_only_an_avatar_that_is_done_stays(folder):
    with opened(folder) as shelf:
        project = worked_on(shelf)
        gone = {own.what: own.bytes for own in shelf.delete_clip(project)}
        place = shelf.place(project)
        left = sorted(str(path.relative_to(place.folder)) for path in place.folder.rglob("*") if path.is_file())
        assert left == ["project.json", "runs/quick/base.mp4"]
    assert (gone["findings and logs"], gone["avatars that were not finished"]) == (24, 4)


def test_a_deletion_that_was_interrupted_is_completed_at_the_start(folder):
    with opened(folder) as shelf:
        project = worked_on(shelf)
        place = shelf.place(project)
    record = json.loads(place.state.read_text())
    place.state.write_text(json.dumps({**record, "clip": None}))
    with opened(folder) as shelf:
        assert shelf.get(project.id).speaks == "quick"
        assert not any((place.folder / name).exists() for name in (*PARTS, "runs/train"))
        assert place.run("quick").is_dir()


def test_nothing_is_deleted_below_work_and_nothing_twice(folder, worker):
    with opened(folder) as shelf:
        project = added(shelf)
        busy = Workshop(shelf, worker).ask(project, "quick")
        for delete in (shelf.delete, shelf.delete_clip):
            with pytest.raises(InputError, match="asked for work on this meanwhile"):
                delete(project)
        assert shelf.place(project).footage.is_dir()
        shelf.put(project.id, "quick", attrs.evolve(busy.works["quick"], state="stopped"))
        shelf.delete_clip(project)
        with pytest.raises(InputError, match="the clip was deleted"):
            Workshop(shelf, worker).ask(project, "quick")
        shelf.delete(project)
        with pytest.raises(KeyError):
            shelf.delete(project)
