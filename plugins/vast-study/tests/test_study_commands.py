"""``vast study new`` and ``serve`` at the terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vast_core.media import VideoWriter
from vast_study.commands import study as group
from vast_study.reading import read_study


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three systems of four short clips."""
    for number, system in enumerate(("ours", "base line", "recorded")):
        for clip in range(4):
            with VideoWriter(tmp_path / system / f"clip{clip}.mp4", 25, np.zeros(1600, np.float32)) as out:
                for _ in range(10):
                    out.write(np.full((32, 32, 3), 60 * number, np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


SYSTEMS = ["--system", "ours=ours", "--system", "base line=base line", "--system", "recorded=recorded"]


def vast(*arguments):
    """What a user sees, and the exit code."""
    code = "import sys; from vast_core.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def new(*arguments):
    return CliRunner().invoke(group, ["new", *arguments])


def test_new_writes_a_study_that_reads_back(folder):
    done = new("mos.yaml", *SYSTEMS, "--reference", "recorded", "--contact", "ann@example.org: please", "--judges", "9")
    assert done.exit_code == 0, done.output
    assert "3 systems, 4 clips, 3 of them rated; 9 judges, 12 videos each" in done.output
    assert "next: read the file and fill in what is missing, then run: vast study serve mos.yaml" in done.output
    study = read_study(folder / "mos.yaml")
    assert study.systems == {name: folder / name for name in ("ours", "base line", "recorded")}
    assert (study.contact, study.reference, study.judges) == ("ann@example.org: please", "recorded", 9)
    assert [question.name for question in study.questions] == ["sync", "expressiveness", "naturalness"]
    assert "12 short videos" in study.consent
    text = (folder / "mos.yaml").read_text()
    assert text.count("#") > 15, "without comments"
    assert "systems:\n  ours: ours\n  base line: base line\n" in text


def test_every_option_in_a_comment_can_be_used(folder):
    """Comments that show a key are no idle promise."""
    new("mos.yaml", *SYSTEMS)
    text = (folder / "mos.yaml").read_text()
    for key in ("reference", "clips", "database"):
        text, count = re.subn(rf"(?m)^# ({key}: )", r"\1", text)
        assert count == 1, key
    (folder / "mos.yaml").write_text(text.replace("clips: 10", "clips: 2"))
    study = read_study(folder / "mos.yaml")
    assert (study.reference, study.clips) == ("recorded", 2)
    assert study.database.startswith("postgresql+")


def test_new_overwrites_nothing(folder):
    (folder / "mos.yaml").write_text("mine")
    code, told = vast("study", "new", "mos.yaml", *SYSTEMS)
    assert code == 2
    assert "mos.yaml: already exists and is not overwritten; choose another name" in told
    assert (folder / "mos.yaml").read_text() == "mine"


def test_new_takes_questions_of_ones_own(folder):
    own = "questions:\n  - {name: fun, title: Fun, text: How much fun, best: Much., worst: None at all.}\n"
    (folder / "own.yaml").write_text(own)
    assert new("mos.yaml", *SYSTEMS, "--template", "own.yaml").exit_code == 0
    assert read_study(folder / "mos.yaml").questions[0].title == "Fun"
    assert new("acr.yaml", *SYSTEMS, "--template", "acr").exit_code == 0
    assert read_study(folder / "acr.yaml").questions[0].labels[4] == "Excellent"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--system", "ours"], "--system ours: expected NAME=FOLDER"),
        ([*SYSTEMS, "--system", "ours=recorded"], "ours is given twice"),
        ([*SYSTEMS, "--reference", "truth"], "--reference truth: no such system (systems: ours, base line, recorded)"),
        (
            [*SYSTEMS, "--template", "vats"],
            "--template vats: no such file, and no packaged file of that name (packaged: acr",
        ),
        (["--system", "ours=nowhere"], "ours: nowhere: cannot be read (No such file or directory)"),
    ],
)
def test_new_says_what_is_wrong_and_writes_nothing(folder, arguments, told):
    code, found = vast("study", "new", "mos.yaml", *arguments)
    assert code == 2
    assert told in found
    assert not (folder / "mos.yaml").exists()


def test_new_names_the_clips_that_a_system_lacks(folder):
    (folder / "recorded" / "clip2.mp4").unlink()
    code, found = vast("study", "new", "mos.yaml", *SYSTEMS)
    assert code == 2
    assert "recorded: lacks clip2, which ours has" in found


@pytest.mark.parametrize(
    "title", ["Yes", "1: a # b", 'say "ah"', "null", "ümlaut – 你好", "- list", "2024-01-01", "a\\n"]
)
def test_any_title_reads_back(folder, title):
    new("mos.yaml", *SYSTEMS, "--title", title)
    assert read_study(folder / "mos.yaml").title == title


@pytest.mark.parametrize("package", ["sqlalchemy", "starlette", "uvicorn"])
def test_a_missing_extra_is_explained_and_costs_nothing_else(folder, package):
    new("mos.yaml", *SYSTEMS)
    without = f"import sys; sys.modules[{package!r}] = None; from vast_core.cli import main; sys.exit(main())"

    def run(*arguments):
        found = subprocess.run([sys.executable, "-c", without, *arguments], capture_output=True, text=True, timeout=60)
        return found.returncode, found.stdout + found.stderr

    code, told = run("study", "serve", "mos.yaml")
    assert code == 2
    assert f'`vast study` needs {package}, which is not installed: pip install "vast-avatar[study]"' in told
    assert run("study", "--help")[0] == 0
    assert run("study", "new", "other.yaml", *SYSTEMS)[0] == 0


def test_help_imports_no_server_no_database_and_no_torch():
    code = (
        "import sys; from vast_core.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'sqlalchemy', 'starlette', 'uvicorn', 'av', 'numpy', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, "study", "--help"], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr
    assert re.search(r"new +Write a commented study\.yaml\.", done.stdout)


def test_serve_prepares_opens_and_stops(folder):
    new("mos.yaml", *SYSTEMS)
    code = "import sys; from vast_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "study", "serve", "mos.yaml", "--port", "0"]
    environment = os.environ | {"COLUMNS": "200"}
    # whoever starts the tests in the background has them ignore Ctrl-C, and so would the server
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, preexec_fn=heed
    ) as serve:
        told = ""
        while "Ctrl-C" not in told and (line := serve.stdout.readline()):
            told += line
        found = re.search(r"for judges +(http://\S+)", told)
        assert found, told
        with urllib.request.urlopen(found[1], timeout=10) as reply:
            page = reply.read().decode()
        serve.send_signal(signal.SIGINT)
        told += serve.stdout.read()
        assert serve.wait(20) in (0, 130)
    assert "Traceback" not in told
    assert "Stopped. All scores are saved" in told
    assert "How good are these talking faces?" in page
    assert len(list(Path("mos.study/media").iterdir())) == 3 * 3 + 1 + 2
    for name in ("ours", "base line", "recorded", "clip"):
        assert not any(name in file.name for file in Path("mos.study/media").iterdir())
