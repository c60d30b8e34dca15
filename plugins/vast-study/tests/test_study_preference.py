"""A preference test: pairs side by side, choices, Bradley-Terry against a second library, and lost links."""

from __future__ import annotations

import io
import json
import math
import re

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

import numpy as np
from rich.console import Console
from scipy import stats

from vast_core.errors import InputError, RecipeError
from vast_core.media import VideoFile, VideoWriter
from vast_study.analysis.attendance import Attendance
from vast_study.analysis.preference import PRIOR, bradley_terry, prefer
from vast_study.analysis.preference_page import report_preference
from vast_study.design import order
from vast_study.enrolment import judge_of, replace_link
from vast_study.media import GAP, write_medium
from vast_study.new import write_study
from vast_study.preparation import planned, prepare, wanted_pairs
from vast_study.reading import read_study
from vast_study.rules import Refused
from vast_study.storage import open_storage
from vast_study.tables import Judge, Medium, Vote
from vast_study.votes import RawVote, raw_votes

# ---------------------------------------------------------------------------------------------- the study


@pytest.fixture
def file(tmp_path, film):
    for system, shade in (("ours", 40), ("theirs", 200), ("older", 120)):
        for clip in range(4):
            film(tmp_path / system / f"words{clip}.mp4", 0.2, shade)
    given = [f"{name}={tmp_path / name}" for name in ("ours", "theirs", "older")]
    told = write_study(tmp_path / "ab.yaml", given, None, "preference", "Faces", "ann", 9, "preference")
    assert "3 systems, 4 clips, 3 of them rated; 9 judges, 12 pairs each" in told
    return tmp_path / "ab.yaml"


def test_every_two_systems_are_shown_side_by_side(file):
    study = read_study(file)
    assert study.test == "preference"
    assert study.choices == (1, 2)
    assert study.shown == ("ours | theirs", "ours | older", "theirs | older")
    assert "pairs of videos, side by side" in study.consent
    assert all((question.best, question.worst) == ("", "") for question in study.questions)
    storage = open_storage(study)
    prepare(study, storage, Console(file=io.StringIO()))
    with storage.reading() as session:
        media = planned(session, study)
        shown = [place for place in order(media.plan, 0) if place.kind == "rated"]
        assert len(shown) == 9
        for place in shown:
            medium = media.of(place)
            pair = study.pairs[place.system]
            assert medium.left in pair
            right = next(name for name in pair if name != medium.left)
            frame = next(iter(VideoFile(study.media / f"{medium.id}.mp4", 25).frames())).astype(float)
            assert frame.shape == (128, 256 + GAP, 3)
            shades = {"ours": 40, "theirs": 200, "older": 120}
            assert frame[:, :120].mean() == pytest.approx(shades[medium.left], abs=25)
            assert frame[:, -120:].mean() == pytest.approx(shades[right], abs=25)
    storage.close()


def test_each_system_is_on_the_left_half_of_the_time(tmp_path, study_of):
    study = study_of(test="preference", systems={name: tmp_path / name for name in "abc"})
    for name in "abc":
        (tmp_path / name).mkdir()
        for clip in range(10):
            (tmp_path / name / f"{clip}.mp4").touch()
    media = wanted_pairs(study)
    assert len(media) == 30
    for name, (one, other) in study.pairs.items():
        own = [medium for medium in media if medium.system == name]
        assert [medium.left for medium in own].count(one) == 5
        assert {(medium.source.parent.name, medium.right.parent.name) for medium in own} == {(one, other), (other, one)}
        assert all(
            medium.source.parent.name == medium.left and medium.source.name == medium.right.name for medium in own
        )


def test_mistakes_of_a_preference_test_are_told_at_their_place(file):
    text = file.read_text().replace("traps: 2", "traps: 2\ngold: 1\nreference: ours")
    text = text.replace("    title: Speech-Lip Sync", "    title: Speech-Lip Sync\n    best: Good.")
    file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_study(file)
    assert "a preference test has no gold clips" in str(caught.value)
    assert "it has no anchors" in str(caught.value)
    file.write_text(text.replace("test: preference", "test: ratings"))
    with pytest.raises(RecipeError, match="missing key 'worst': the anchor at 1"):
        read_study(file)


def test_two_videos_of_different_size_and_length(tmp_path, film):
    film(tmp_path / "a.mp4", 0.4, 90)
    with VideoWriter(tmp_path / "b.mp4", 25, None) as writer:
        for _ in range(6):
            writer.write(np.full((64, 96, 3), 200, np.uint8))
    written = write_medium(tmp_path / "a.mp4", tmp_path / "c.mp4", beside=tmp_path / "b.mp4")
    film = VideoFile(tmp_path / "c.mp4", 25)
    frames = list(film.frames())
    assert (film.size, len(frames)) == ((64, 64 + 96 + GAP), 6)
    assert written.seconds == pytest.approx(0.24)
    assert abs(frames[3][:, 66:76].mean() - 128) < 8
    assert film.wave() is not None


# --------------------------------------------------------------------------------------------- choosing


def test_a_judge_chooses_left_or_right_and_reads_no_system(choosing_room):
    judge, names = choosing_room.judge(until="rating"), list(choosing_room.study.systems)
    judge.watch(2)
    page = judge.get("/clip/2").text
    assert re.findall(r'<input type="radio"[^>]*value="(\d)"[^>]*><span>(\w+)</span>', page)[:2] == [
        ("1", "Left"),
        ("2", "Right"),
    ]
    assert not any(name in page for name in names)
    for wrong in (0, 3, 5):
        assert judge.score(2, wrong, 1, 1, json=True).status_code == 422
    assert judge.score(2, 1, 2, 2).status_code == 303
    with choosing_room.storage.reading() as session:
        given = [vote for vote in raw_votes(session, choosing_room.study) if vote.kind == "rated"]
    assert [(vote.system, vote.left, vote.question, vote.score) for vote in given] == [
        (" | ".join(names), names[1], "sync", 1),
        (" | ".join(names), names[1], "expression", 2),
        (" | ".join(names), names[1], "natural", 2),
    ]
    with pytest.raises(Refused, match="from 1 to 2, not 3"), choosing_room.storage.session() as session:
        session.get_one(Vote, choosing_room.rows(Vote, score=2)[0].id).score = 3


def test_practice_tells_how_to_choose(choosing_room):
    judge = choosing_room.judge()
    assert "questions by choosing left or right" in judge.get("/ready").text


# ----------------------------------------------------------------------------------------------- results


def choices(strengths, side=0.0, judges=12, clips=10, seed=0, question="sync"):
    """Votes by the model itself."""
    draw = np.random.default_rng(seed)
    names, votes = list(strengths), []
    pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :]]
    for judge in range(1, judges + 1):
        for place, (one, other) in enumerate(pairs):
            for clip in range(clips):
                left, right = (one, other) if clip % 2 else (other, one)
                chance = 1 / (1 + math.exp(-(strengths[left] - strengths[right] + side)))
                score = 1 if draw.random() < chance else 2
                position = place * clips + clip
                votes.append(
                    RawVote(
                        judge=judge, kind="rated", system=f"{one} | {other}", left=left, clip=f"c{clip}",
                        question=question, score=score, block=1, position=position, seconds=4, latency=2.0, changes=0,
                        expected=None,
                    )
                )  # fmt: skip
    return votes


@pytest.fixture
def study(tmp_path, study_of):
    return study_of(test="preference", systems={name: tmp_path / name for name in ("a", "b", "c", "d")})


def test_bradley_terry_is_a_penalised_logistic_regression(study):
    sklearn = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    truth = {"a": 1.2, "b": 0.3, "c": -0.4, "d": -1.1}
    votes = choices(truth, side=0.4)
    rows, won = [], []
    for vote in votes:
        row = np.zeros(5)
        one, other = study.pairs[vote.system]
        right = other if vote.left == one else one
        row["abcd".index(vote.left)], row["abcd".index(right)], row[4] = 1, -1, 1
        rows.append(row)
        won.append(vote.score == 1)
    fitted = sklearn.LogisticRegression(C=PRIOR**2, fit_intercept=False, tol=1e-10, max_iter=1000).fit(rows, won)
    expected = fitted.coef_[0][:4] - fitted.coef_[0][:4].mean()
    (found,) = prefer(study, votes)
    assert {own.system: own.strength for own in found.strengths} == {
        name: pytest.approx(value, abs=1e-4) for name, value in zip("abcd", expected, strict=True)
    }
    assert found.side == pytest.approx(fitted.coef_[0][4], abs=1e-4)
    assert [own.system for own in found.strengths] == ["a", "b", "c", "d"]
    for own in found.strengths:
        assert own.low < truth[own.system] < own.high
        assert own.choices == 12 * 10 * 3
    assert found.left == pytest.approx(np.mean(won))


def test_two_systems_in_closed_form():
    won = np.zeros((2, 2, 2))
    won[0, 1], won[1, 0] = 3000, 1000  # half of each on the left
    strengths, side = bradley_terry(won)
    assert strengths[0] - strengths[1] == pytest.approx(math.log(3), abs=1e-3)
    assert side == pytest.approx(0, abs=1e-9)
    won[1, 0] = 0
    assert 3 < bradley_terry(won)[0][0] < 50  # it always wins, and stays finite


def test_pairs_are_tested_over_judges(study):
    votes = choices({"a": 0.9, "b": 0.0, "c": 0.0, "d": 0.0}, judges=15)
    (found,) = prefer(study, votes)
    raw = {}
    for pair in found.pairs:
        own = [vote for vote in votes if vote.system == f"{pair.first} | {pair.second}"]
        shares = [
            np.mean([(vote.score == 1) == (vote.left == pair.first) for vote in own if vote.judge == judge])
            for judge in range(1, 16)
        ]
        assert pair.share.mean == pytest.approx(np.mean(shares))
        raw[pair.first, pair.second] = stats.ttest_1samp(shares, 0.5).pvalue
    ranked = sorted(raw.values())
    assert found.pairs[0].p == pytest.approx(
        max(min(1, p * (6 - rank)) for rank, p in enumerate(ranked) if p <= raw["a", "b"])
    )
    assert [pair.evident for pair in found.pairs[:3]] == [True] * 3
    assert not any(pair.evident for pair in found.pairs[3:])


def came(judge, asked):
    return Attendance(judge=judge, state="finished", headphones=True, asked=asked, minutes=9.0)


def test_the_report_leaves_out_who_always_chooses_one_side(study, tmp_path):
    votes = choices({"a": 1.0, "b": 0.0, "c": -0.3, "d": -1.0}, judges=8)
    votes = [vote if vote.judge != 3 else RawVote(**{**as_dict(vote), "score": 1}) for vote in votes]
    out = io.StringIO()
    page = report_preference(
        study, votes, [came(judge, 60) for judge in range(1, 9)], Console(file=out, width=200), tmp_path, keep_all=False
    )
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["left_out"] == [3]
    assert told["questions"][0]["judges"] == 7
    assert [own["system"] for own in told["questions"][0]["strengths"]] == ["a", "b", "c", "d"]
    assert "a is better" in out.getvalue()
    assert "judge 3 left out: 60 of 60 scores are 1" in out.getvalue()
    assert "a over d" in page.read_text()
    assert (tmp_path / "preference.csv").read_text().startswith("question,system,strength,")
    with pytest.raises(InputError, match="nobody has chosen"):
        report_preference(study, [], [], Console(file=out), tmp_path, keep_all=False)


def as_dict(vote):
    return {name: getattr(vote, name) for name in RawVote.__slots__ if name != "__weakref__"}


# --------------------------------------------------------------------------------------------- lost links


def test_a_lost_link_is_replaced_and_every_vote_stays(room):
    judge = room.judge(until="rating")
    judge.watch(2)
    judge.score(2, 5, 4, 3)
    before = [(vote.task_id, vote.question, vote.score) for vote in room.rows(Vote)]
    number = judge.row.number
    desk = room.visitor()
    token = desk.token("/experimenter")
    assert desk.post("/experimenter/login", {"token": room.token}, token=token).status_code == 303
    token = desk.token("/experimenter")
    page = desk.post("/experimenter/replace", {"judge": str(number)}, token=token)
    assert page.status_code == 200
    assert f"old link of judge {number} is void" in page.text
    (link,) = re.findall(r"/j/([0-9a-f]{32})", page.text)
    assert room.client().get(f"/j/{judge.link}").status_code == 404
    assert judge.get("/clip/2").status_code == 401  # also in the browser that still has it
    again = room.visitor()
    again.link = link
    again.open()
    assert again.get("/clip/3").status_code == 200
    assert again.row.number == number
    assert [(vote.task_id, vote.question, vote.score) for vote in room.rows(Vote)] == before
    for wrong in ("0", "99", "x", "-1", ""):
        assert desk.post("/experimenter/replace", {"judge": wrong}, token=token).status_code == 422
    assert again.post("/withdraw").status_code == 303
    assert desk.post("/experimenter/replace", {"judge": str(number)}, token=token).status_code == 422
    assert room.visitor().client.post("/experimenter/replace", data={"judge": "1"}).status_code in (401, 403)


def test_a_link_changes_only_by_being_replaced(room):
    first, second = room.invite(), room.invite()
    with pytest.raises(Refused, match="only change by being replaced"), room.storage.session() as session:
        judge_of(session, first).link = "0" * 64
    with pytest.raises(Refused, match="only change by being replaced"), room.storage.session() as session:
        judge_of(session, first).links = 7
    with room.storage.session() as session:
        new = replace_link(session, 1)
    with room.storage.reading() as session:
        assert judge_of(session, first) is None
        assert (judge_of(session, new).number, judge_of(session, new).links) == (1, 2)
        assert judge_of(session, second).number == 2
    assert [judge.links for judge in room.rows(Judge)] == [2, 1]
    assert len(room.rows(Medium)) == 7
