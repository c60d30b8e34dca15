"""``vast study report`` and ``export`` on a study whose truth is known, and on studies with hardly anything in them."""

from __future__ import annotations

import csv
import html
import json
import re
import statistics
from collections import defaultdict
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

import attrs
from click.testing import CliRunner
from rich.console import Console
from scipy import stats
from sqlalchemy import select

from vast_core.errors import InputError
from vast_study.analysis.analysis import analyse
from vast_study.analysis.attendance import Attendance
from vast_study.analysis.page import write_page
from vast_study.analysis.simulated import Room, Truth, simulate
from vast_study.analysis.tables import mos_rows, printed, write_json
from vast_study.commands import study as group
from vast_study.enrolment import enrol
from vast_study.export import csv_text
from vast_study.reading import read_study
from vast_study.storage import keep_fact, open_storage
from vast_study.study import Question, Study
from vast_study.tables import Judge, Medium, Task, Vote

QUALITY = {"ours": [3.8, 3.7, 3.6], "one": [3.2, 3.1, 3.0], "two": [3.2, 3.1, 3.0], "three": [3.2, 3.1, 3.0]}
QUESTIONS = ("sync", "expressiveness", "naturalness")
TRUTH = Truth(quality=QUALITY)
PLANTED = Room(straight=[5], random=[11])


def question(name):
    return Question(name=name, title=f"Title of {name}", text="How good?", best="Best & most.", worst="Worst.")


def make_study(**changes):
    values = {
        "path": Path("nowhere/mos.yaml"),
        "name": "mos",
        "title": "Talking faces",
        "contact": "",
        "seed": 7,
        "judges": 15,
        "block": 10,
        "questions": tuple(map(question, QUESTIONS)),
        "systems": {name: Path(name) for name in QUALITY},
        "known": (),
        "consent": "",
        "clips": None,
        "database": None,
    }
    return Study(**values | changes)


# ------------------------------------------------------------------------------------------- by the command line


def keep(study, votes):
    """What judges would have done in the pages, written through the study's own storage."""
    storage = open_storage(study)
    with storage.session() as session:
        keep_fact(session, "plan", "of the test")
        shown = {(vote.kind, vote.system, vote.clip): {} for vote in votes}
        for vote in votes:
            if vote.expected:
                shown[vote.kind, vote.system, vote.clip][vote.question] = list(vote.expected)
        for number, ((kind, system, clip), expected) in enumerate(shown.items()):
            known = {"kind": kind, "system": system, "clip": clip, "expected": expected}
            session.add(Medium(id=f"{number:032x}", digest="", seconds=6.0, **known))
    by_judge = defaultdict(lambda: defaultdict(list))
    for vote in votes:
        by_judge[vote.judge][vote.kind, vote.system, vote.clip].append(vote)
    for number, own in by_judge.items():
        with storage.session() as session:
            judge, _ = enrol(session, study)
            assert judge.number == number
            judge.consented = 1000.0
        with storage.session() as session:
            judge = session.scalar(select(Judge).where(Judge.number == number))
            tasks = select(Task, Medium).join(Medium, Medium.id == Task.medium_id).where(Task.judge_id == judge.id)
            for task, medium in session.execute(tasks):
                task.opened, task.played = 1010.0, 1020.0
                for vote in own[medium.kind, medium.system, medium.clip]:
                    given = 1020 + vote.latency
                    cast = {"question": vote.question, "score": vote.score, "given": given}
                    session.add(Vote(task_id=task.id, changed=given, changes=0, **cast))
            judge.finished = 2800.0
    return storage


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The study of the closing note: 15 judges of whom two are bad, 4 systems, 10 clips, 2 traps, 3 questions."""
    folder = tmp_path_factory.mktemp("planted")
    votes, _ = simulate(TRUTH, PLANTED, 0)
    for system in QUALITY:
        (folder / system).mkdir()
        for clip in sorted({vote.clip for vote in votes if vote.kind == "rated"}):
            (folder / system / f"{clip}.mp4").touch()
    path = folder / "mos.yaml"
    systems = ", ".join(f"{name}: {name}" for name in QUALITY)
    questions = "\n".join(
        f"  - {{name: {name}, title: Title of {name}, text: How good, best: Best., worst: Worst.}}"
        for name in QUESTIONS
    )
    path.write_text(
        f"study: 1\ntitle: Talking faces\ncontact: ann@example.org\nsystems: {{{systems}}}\nquestions:\n{questions}\n"
    )
    keep(read_study(path), votes).close()
    return path


def run(*arguments):
    done = CliRunner().invoke(group, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_the_planted_study_comes_out_as_it_was_planted(planted):
    told = run("report", planted)
    for name in QUESTIONS:
        assert f"Title of {name}: ours is rated higher than every other system." in told
    assert "judge 5 left out: straight-lining, 120 of 120 scores are 3" in told
    assert "judge 11 left out: traps, 2 of 2 trap clips failed" in told
    assert told.count("left out") == 2
    folder = planted.with_name("mos.study") / "report"
    with (folder / "mos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    misses = 0
    for row in rows:
        truth = TRUTH.expected(row["system"], QUESTIONS.index(row["question"]))
        assert float(row["mos"]) == pytest.approx(truth, abs=0.3)
        misses += not float(row["judges_clips_low"]) <= truth <= float(row["judges_clips_high"])
    assert misses <= 2, "12 intervals of 95 %"
    found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert found["left_out"] == [5, 11]
    pairs = {
        (pair["first"], pair["second"]): pair["adjusted"]
        for comparison in found["main"]["comparisons"]
        for pair in comparison["pairs"]
    }
    assert {pair for pair, p in pairs.items() if p < 0.05} == {("ours", name) for name in ("one", "two", "three")}


def test_figures_are_those_that_the_exported_votes_give_by_hand(planted, tmp_path):
    run("export", planted, "--out", tmp_path / "votes.csv")
    run("report", planted, "--out", tmp_path / "report")
    with (tmp_path / "votes.csv").open(newline="", encoding="utf-8") as file:
        votes = list(csv.DictReader(file))
    assert len(votes) == 15 * (4 * 10 + 2) * 3
    with (tmp_path / "report" / "mos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    page = html.unescape((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    for row in rows:
        for column, left_out in (("mos", {"5", "11"}), ("all_judges_mos", set())):
            own = defaultdict(list)
            for vote in votes:
                if (vote["kind"], vote["system"], vote["question"]) == ("rated", row["system"], row["question"]):
                    own[vote["judge"]].append(int(vote["score"]))
            means = [statistics.mean(scores) for judge, scores in own.items() if judge not in left_out]
            assert float(row[column]) == pytest.approx(statistics.mean(means))
            half = stats.t.ppf(0.975, len(means) - 1) * statistics.stdev(means) / len(means) ** 0.5
            high = float(row[{"mos": "high"}.get(column, "all_judges_high")])
            assert high == pytest.approx(statistics.mean(means) + half)
            assert f"{statistics.mean(means):.2f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{half:.2f}" in page


def test_keep_all_leaves_nobody_out_and_says_so(planted, tmp_path):
    told = run("report", planted, "--out", tmp_path, "--keep-all")
    assert "Means over 15 judges" in told
    assert "Nobody was left out, as requested" in told
    assert "flagged but kept: judges 5, 11" in told


def test_scores_of_judges_who_withdrew_are_nowhere(tmp_path):
    votes, _ = simulate(TRUTH, Room(judges=4, clips=2, traps=0), 0)
    study = make_study(path=tmp_path / "mos.yaml")
    storage = keep(study, votes)
    with storage.session() as session:
        session.scalar(select(Judge).where(Judge.number == 2)).withdrawn = 3000.0
        enrol(session, study)
    storage.close()
    from vast_study.analysis.commands import export, report

    console = Console(width=200)
    with console.capture() as said:
        export(study, console)
        report(study, console)
    rows = list(csv.DictReader((study.folder / "votes.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["judge"] for row in rows} == {"1", "3", "4"}
    assert "Means over 3 judges" in said.get()
    assert "1 judge withdrew; their scores are not in any figure on this page" in said.get()
    page = (study.folder / "report" / "report.html").read_text(encoding="utf-8")
    for judge, outcome in ((1, "kept"), (2, "withdrew"), (5, "no scores")):
        assert re.search(rf"judge {judge}</th>\s*<td>{outcome}</td>", page)


def test_before_the_first_score_the_commands_say_so(tmp_path):
    from vast_study.analysis.commands import export, report

    study = make_study(path=tmp_path / "mos.yaml")
    console = Console()
    with pytest.raises(InputError, match=r"nobody has judged yet; start the study with `vast study serve mos\.yaml`"):
        report(study, console)
    assert not study.folder.exists()
    open_storage(study).close()
    with pytest.raises(InputError, match="nobody has rated a clip yet"):
        report(study, console)
    with pytest.raises(InputError, match="there are no scores yet"):
        export(study, console)


# ------------------------------------------------------------------------------------------- with hardly anything


def results(votes, attendance, tmp_path, **changes):
    """The analysis, once it was written in all its forms."""
    analysis = analyse(make_study(**changes), votes, attendance)
    write_page(tmp_path / "report.html", analysis)
    write_json(tmp_path / "report.json", analysis)
    json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    console = Console(width=80)
    with console.capture() as said:
        console.print(printed(analysis))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (page, said.get(), csv_text([], mos_rows(analysis))):
        assert not re.search(r"\bnan\b", text)
    return analysis, " ".join(said.get().split())


@pytest.mark.parametrize(
    ("room", "systems", "told"),
    [
        (Room(judges=1), 4, "one judge: there are no intervals, no tests"),
        (Room(judges=1, clips=1, traps=0), 1, "one judge: there are no intervals, no tests"),
        (Room(judges=2, clips=1, traps=0), 2, "a mixed model needs more than one clip"),
        (Room(judges=6), 1, "There is only one system, so nothing is compared"),
        (Room(judges=3, clips=2), 4, "With only 3 judges"),
        (Room(judges=4, traps=0), 2, "No trap clip was judged"),
        (Room(judges=3, straight=[1, 2, 3]), 3, "would leave out every judge, so nobody was left out"),
        (Room(judges=8, questions=("sync",)), 4, "Title of sync: ours"),
    ],
)
def test_little_is_told_without_a_crash(room, systems, told, tmp_path):
    truth = Truth(quality={name: QUALITY[name] for name in list(QUALITY)[:systems]})
    votes, attendance = simulate(truth, room, 1)
    _, said = results(votes, attendance, tmp_path)
    assert told in said


def test_a_study_that_is_under_way(tmp_path):
    """Judges who have come half as far, one third as far, and not at all; a system that nobody has seen."""
    votes, attendance = simulate(TRUTH, Room(judges=9), 2)
    kept = [
        vote
        for vote in votes
        if vote.system != "three" and not (vote.judge in (1, 2) and vote.position > {1: 24, 2: 12}[vote.judge])
    ]
    states = [attrs.evolve(each, state="started" if each.judge < 3 else "finished", asked=90) for each in attendance]
    analysis, said = results(kept, [*states, Attendance(judge=10, state="invited", asked=90)], tmp_path)
    assert analysis.systems == ("ours", "one", "two")
    assert {judge.judge for judge in analysis.left_out} == {2}
    assert "2 judges began but did not finish" in said
    assert "there is no interval for other judges and clips" in said
    assert all(found.method == "mixed model" for found in analysis.main.comparisons)


def test_equal_scores_of_everyone(tmp_path):
    votes, attendance = simulate(TRUTH, Room(judges=7, straight=range(1, 8), traps=0, clips=1), 0)
    votes = [vote for vote in votes if vote.question == "sync"]
    attendance = [attrs.evolve(each, asked=4) for each in attendance]
    analysis, said = results(votes, attendance, tmp_path)
    assert {pair.p for pair in analysis.main.comparisons[0].pairs} == {None}
    assert "3.00" in said


def test_a_name_is_text_wherever_it_stands(tmp_path):
    name = '=HYPERLINK("http://example.org")<script>alert(1)</script>[red]'
    truth = Truth(quality={name: [3, 3, 3], "+b": [4, 4, 4]})
    votes, attendance = simulate(truth, Room(judges=7), 0)
    analysis, said = results(votes, attendance, tmp_path, systems={name: Path("a"), "+b": Path("b")})
    assert "<script>" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "+b is rated higher than =HYPERLINK" in said
    assert "[red]" in said
    for cells in csv.reader(csv_text([], mos_rows(analysis)).splitlines()):
        assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_text_is_a_formula(text):
    head, line = csv_text(["name", "value"], [[text, -1.5]]).split("\n")[:2]
    assert head == "name,value"
    assert line.lstrip('"') == f"'{text},-1.5"
