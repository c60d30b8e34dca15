"""``vast study correlate``: rank correlations against scipy's, directions, and systems that it measures itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

import click
import numpy as np
from click.testing import CliRunner
from scipy import stats

from vast_core.errors import InputError
from vast_study.analysis import correlate_command
from vast_study.analysis.correlation import Measured, correlate
from vast_study.analysis.ratings import Ratings
from vast_study.analysis.simulated import Room, Truth, simulate
from vast_study.commands import study as group

SYSTEMS = {"best": [4.4, 3.0], "good": [3.8, 3.1], "fair": [3.1, 2.9], "bad": [2.2, 3.0], "real": [4.8, 3.0]}
QUESTIONS = ("sync", "ease")
CLIPS = 8
ROOM = Room(judges=12, clips=CLIPS, questions=QUESTIONS, traps=0)


@pytest.fixture(scope="module")
def votes():
    return simulate(Truth(quality=SYSTEMS), ROOM, 3)


@pytest.fixture(scope="module")
def ratings(votes):
    return Ratings.of(votes[0], QUESTIONS, list(SYSTEMS))


def evaluation(system, ratings, digest="a" * 64):
    """An ``eval.json``: measures that follow the quality in each direction, one that is noise, one without clips."""
    place = list(SYSTEMS).index(system)
    means = np.nanmean(ratings.scores[0], axis=0)[place]
    noise = np.random.default_rng(place).normal(size=CLIPS)
    values = {
        "likeness": means + 0.3 * noise,
        "distance": 9 - means,
        "lateness": np.where(np.arange(CLIPS) % 2, 1, -1) * (9 - means),
        "speed": -means,
        "noise": noise,
    }
    better = {"likeness": "higher", "distance": "lower", "lateness": "closer to 0", "speed": "neither"}
    clips = [
        {"name": clip, "values": {name: float(row[number]) for name, row in values.items()}}
        for number, clip in enumerate(ratings.clips)
    ]
    overall = {name: {"value": float(np.mean(row))} for name, row in values.items()} | {"whole": {"value": -place}}
    measures = {name: {"better": better.get(name, "higher")} for name in overall}
    return {"digest": digest, "protocol": "v2", "measures": measures, "overall": overall, "clips": clips}


@pytest.fixture
def folders(tmp_path, ratings):
    for system in SYSTEMS:
        folder = tmp_path / "evals" / system
        folder.mkdir(parents=True)
        (folder / "eval.json").write_text(json.dumps(evaluation(system, ratings)))
    return tmp_path / "evals"


@pytest.fixture
def found(folders, ratings):
    rows = correlate(ratings, {name: Measured.read(folders / name) for name in SYSTEMS if name != "real"})
    return {(row.question, row.measure): row for row in rows}


def test_correlations_are_scipys_spearman(found, folders, ratings):
    for number, question in enumerate(QUESTIONS):
        people = np.nanmean(ratings.scores[number], axis=0)[:4]
        for measure, sign in (("likeness", 1), ("noise", 1), ("distance", -1)):
            read = [json.loads((folders / name / "eval.json").read_text()) for name in SYSTEMS if name != "real"]
            values = sign * np.array([[clip["values"][measure] for clip in own["clips"]] for own in read])
            row = found[question, measure]
            assert row.over_videos == pytest.approx(stats.spearmanr(values.ravel(), people.ravel()).statistic)
            assert row.over_systems == pytest.approx(stats.spearmanr(values.mean(1), people.mean(1)).statistic)
            assert (row.systems, row.videos) == (4, 4 * CLIPS)
            assert row.low <= row.over_videos <= row.high


def test_what_a_measure_calls_better_agrees_if_it_is_rated_better(found):
    assert found["sync", "distance"].over_videos == pytest.approx(1)
    assert found["sync", "lateness"].over_videos == pytest.approx(1)
    assert found["sync", "speed"].over_videos == pytest.approx(-1)  # no direction: as it is
    assert found["sync", "likeness"].over_videos > 0.8
    assert abs(found["sync", "noise"].over_videos) < 0.5
    assert found["sync", "noise"].high - found["sync", "noise"].low > 0.3
    assert found["sync", "whole"].over_systems == pytest.approx(1)
    assert found["sync", "whole"].over_videos is found["sync", "whole"].low is None


def test_the_best_agreement_comes_first(found):
    sync = [row.over_videos for (question, _), row in found.items() if question == "sync"]
    known = [rho for rho in sync if rho is not None]
    assert known == sorted(known, reverse=True)


def test_different_protocols_and_nothing_in_common_are_refused(folders, ratings):
    own = {name: Measured.read(folders / name) for name in ("best", "good", "fair")}
    (folders / "bad" / "eval.json").write_text(json.dumps(evaluation("bad", ratings, "b" * 64)))
    with pytest.raises(InputError, match="different protocols"):
        correlate(ratings, own | {"bad": Measured.read(folders / "bad")})
    with pytest.raises(InputError, match="nothing to correlate"):
        correlate(ratings, {"elsewhere": own["best"]})
    (folders / "bad" / "eval.json").write_text('{"digest": 1}')
    with pytest.raises(InputError, match="not a result of `vast eval`"):
        Measured.read(folders / "bad")
    with pytest.raises(InputError, match="cannot be read"):
        Measured.read(folders / "nowhere")


def test_an_interval_needs_clips(ratings, folders):
    few = Ratings(
        questions=QUESTIONS,
        judges=ratings.judges,
        systems=ratings.systems,
        clips=ratings.clips[:3],
        scores=ratings.scores[..., :3],
    )
    row = correlate(few, {name: Measured.read(folders / name) for name in SYSTEMS if name != "real"})[0]
    assert row.videos == 12
    assert row.low is row.high is None


STUDY = """
study: 1
title: Faces
contact: ann
systems: {best: best, good: good, fair: fair, bad: bad, real: real}
reference: real
questions:
  - {name: sync, title: Sync, text: "How?", best: Best., worst: Worst.}
  - {name: ease, title: Ease, text: "How?", best: Best., worst: Worst.}
"""


@pytest.fixture
def program(tmp_path, monkeypatch, votes, ratings):
    """A program with ``study`` and an ``eval`` that notes what it is asked."""
    asked = []

    @click.group()
    def cli(): ...

    @cli.command("eval")
    @click.option("--generated", type=Path)
    @click.option("--reference", type=Path)
    @click.option("--protocol", "protocol_name", default="v2")
    @click.option("--out", type=Path)
    def evaluate(generated, reference, protocol_name, out):
        asked.append((generated.name, reference.name, protocol_name))
        out.mkdir(parents=True)
        (out / "eval.json").write_text(json.dumps(evaluation(generated.name, ratings)))

    cli.add_command(group)
    monkeypatch.setattr(correlate_command, "read_votes", lambda study: votes)
    (tmp_path / "mos.yaml").write_text(STUDY)

    def run(*arguments):
        return CliRunner().invoke(cli, ["study", "correlate", str(tmp_path / "mos.yaml"), *arguments])

    return run, asked


def test_one_command_measures_what_is_missing_and_correlates(program, folders, tmp_path):
    run, asked = program
    done = run("--eval", f"best={folders / 'best'}", "--protocol", "v1")
    assert done.exit_code == 0, done.output + str(done.exception)
    assert asked == [("good", "real", "v1"), ("fair", "real", "v1"), ("bad", "real", "v1")]
    whole = json.loads((tmp_path / "mos.study" / "correlation" / "correlation.json").read_text())
    assert whole["systems"] == ["best", "good", "fair", "bad"]
    distance = next(row for row in whole["correlations"] if (row["question"], row["measure"]) == ("sync", "distance"))
    assert distance["over_videos"] == pytest.approx(1)
    assert math.isclose(distance["over_systems"], 1)
    assert "sync,distance,lower,4," in (tmp_path / "mos.study" / "correlation" / "correlation.csv").read_text()
    assert "distance" in done.output
    run()
    assert asked[3:] == [("best", "real", "v2")]  # the others are kept


def test_wrong_calls_say_what_is_right(program, tmp_path):
    run, _ = program
    assert "no such system" in str(run("--eval", "nobody=x").exception)
    assert "give NAME=FOLDER" in str(run("--eval", "best").exception)
    (tmp_path / "mos.yaml").write_text(STUDY.replace("reference: real\n", ""))
    assert "name the recording with `reference:`" in str(run().exception)
