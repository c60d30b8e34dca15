"""Which judges are left out, held to sureal, to worked examples, and to judges known to be good or bad."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

import attrs
from scipy import stats

from vast_study.analysis.attendance import Attendance
from vast_study.analysis.bt500 import far_off
from vast_study.analysis.ratings import Ratings
from vast_study.analysis.screening import screen
from vast_study.analysis.simulated import Room, Truth, simulate

QUALITY = {"ours": [3.8, 3.7, 3.6], "a": [3.2, 3.1, 3.0], "b": [3.2, 3.1, 3.0], "c": [3.2, 3.1, 3.0]}
QUESTIONS = ("sync", "expressiveness", "naturalness")


def ratings_of(votes):
    return Ratings.of(votes, QUESTIONS, list(QUALITY))


def screened(votes, attendance):
    return {judge.judge: judge for judge in screen(votes, attendance, ratings_of(votes))}


def presentations(seed, judges=15, **room):
    """(J, presentations) of a simulated study."""
    votes, _ = simulate(Truth(quality=QUALITY), Room(judges=judges, **room), seed)
    return ratings_of(votes).scores.transpose(1, 0, 2, 3).reshape(judges, -1)


def sureal(scores):
    """What Netflix's sureal makes of the same scores: its two statistics, and whom it rejects."""
    pytest.importorskip("sureal", reason="pip install 'vast-avatar[oracles]'")
    from sureal.dataset_reader import RawDatasetReader
    from sureal.subjective_model import SubjrejMosModel

    class Dataset:
        dataset_name = "simulated"
        ref_videos = [{"content_id": 0, "content_name": "all", "path": "all"}]
        dis_videos = [
            {"content_id": 0, "asset_id": number, "path": str(number), "os": list(column)}
            for number, column in enumerate(scores.T)
        ]

    found = SubjrejMosModel(RawDatasetReader(Dataset)).run_modeling()
    names = ("observer_rejected_1st_stats", "observer_rejected_2nd_stats", "observer_rejected")
    return [np.asarray(found[name]) for name in names]


# ------------------------------------------------------------------------------------------------------------ BT.500


def on_the_edge(column):
    """Whether rounding decides what sureal makes of a presentation."""
    kurtosis = stats.kurtosis(column, fisher=False)
    away = np.abs(column - column.mean()) / column.std()
    return bool(np.isclose(kurtosis, [2, 4]).any() or np.isclose(away, 2).any())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bt500_is_sureals(seed):
    """Sureal divides the standard deviation by n where the recommendation has n - 1; else they are one."""
    scores = presentations(seed, random=[4], straight=[9] if seed % 2 else [])
    scores = scores[:, [not on_the_edge(column) for column in scores.T]]
    shares, imbalances, rejected = sureal(scores)
    ours = far_off(scores, freedom=0)
    assert [judge.share for judge in ours] == pytest.approx(shares)
    ever = ~np.isnan(imbalances)
    assert [judge.imbalance for judge in ours] == pytest.approx(np.where(ever, imbalances, 1))
    assert [judge.rejected for judge in ours] == rejected.tolist()
    assert scores.shape[1] > 60
    assert any(judge.high + judge.low for judge in ours)


def test_equality_is_far_off_whatever_rounding_does():
    """By hand: m2 = 1, kurtosis 4, 2 sqrt(m2) = 2, all on the edge; scaled and moved, they are so in other bits."""
    column = np.array([1, 3, 3, 3, 3, 3, 3, 5], float)
    for moved in (column, column / 3, column / 10 + 0.1):
        assert [judge.high + judge.low for judge in far_off(moved[:, None], freedom=0)] == [1, *[0] * 6, 1]


def test_the_standard_deviation_is_that_of_a_sample():
    """By hand: m2 = 1, m4 = 3.4, kurtosis 3.4, normal; the extremes are 2 off, 2 sqrt(m2) = 2, but 2 s = 2.11."""
    column = np.array([1, 2, 3, 3, 3, 3, 3, 3, 4, 5], float)[:, None]
    assert [judge.high + judge.low for judge in far_off(column)] == [0] * 10
    assert [judge.high + judge.low for judge in far_off(column, freedom=0)] == [1, *[0] * 8, 1]


def test_scores_that_are_not_normal_take_more_to_be_far_off():
    """By hand: one of n who differs is (n - 1) / sqrt(n) of its sample's deviations off: 2.85 of 10, 4.75 > sqrt(20) of
    25; the kurtosis of either is beyond 4."""
    for count, far in ((10, 0), (25, 1)):
        column = np.array([*[3] * (count - 1), 5], float)[:, None]
        assert far_off(column)[-1].high == far


def test_who_is_always_strict_is_kept_and_who_is_erratic_is_not():
    rng = np.random.default_rng(0)
    scores = np.clip(np.round(rng.normal(3.2, 0.8, (20, 100))), 1, 5)
    scores[0], scores[1, ::2], scores[1, 1::2] = 1, 1, 5
    strict, erratic = far_off(scores)[:2]
    assert strict.share > 0.3
    assert (strict.rejected, erratic.rejected) == (False, True)


def test_missing_scores_count_for_nobody():
    scores = presentations(0)
    gaps = np.concatenate([scores, np.full((15, 30), np.nan)], axis=1)
    assert far_off(gaps) == far_off(scores)
    few = np.full((15, 30), np.nan)
    few[:5] = [[1], [3], [3], [3], [5]]
    assert [judge.scores for judge in far_off(few)] == [0] * 15


# ----------------------------------------------------------------------------------------------------- other screens


def test_the_bad_judges_are_found():
    votes, attendance = simulate(Truth(quality=QUALITY), Room(straight=[5], random=[11]), 0)
    judges = screened(votes, attendance)
    assert {number for number, judge in judges.items() if judge.rejected} == {5, 11}
    assert [(each.screen, each.reason) for each in judges[5].findings] == [
        ("straight-lining", "120 of 120 scores are 3")
    ]
    assert judges[5].entropy == 0
    assert judges[11].findings[0].screen == "traps"
    assert judges[11].entropy == pytest.approx(np.log2(5), abs=0.1)
    assert judges[11].agreement < min(judge.agreement for judge in judges.values() if not judge.rejected)


def test_careful_judges_are_rarely_left_out():
    found = [
        judge
        for seed in range(20)
        for judge in screened(*simulate(Truth(quality=QUALITY), Room(judges=13), seed)).values()
    ]
    assert np.mean([judge.rejected for judge in found]) <= 0.05
    assert {each.screen for judge in found for each in judge.findings} <= {"BT.500"}


def one_judge(change, **room):
    """What is found of judge 1, whose votes were changed."""
    votes, attendance = simulate(Truth(quality=QUALITY), Room(**room), 0)
    kept = [new for vote in votes if (new := change(vote) if vote.judge == 1 else vote) is not None]
    return screened(kept, attendance)[1]


@pytest.mark.parametrize(
    ("change", "screen", "rejects"),
    [
        (lambda v: attrs.evolve(v, latency=0.4), "too fast", False),
        (lambda v: v if v.position % 4 else None, "incomplete", False),
        (lambda v: None if v.position % 4 else v, "incomplete", True),
        (lambda v: attrs.evolve(v, score=1 + v.position % 5) if v.kind == "rated" else v, "all questions alike", False),
        (lambda v: attrs.evolve(v, score=4) if v.kind == "rated" and v.position % 12 else v, "straight-lining", True),
        (lambda v: attrs.evolve(v, score=5) if v.clip == "trap1" else v, "traps", True),
        (lambda v: attrs.evolve(v, kind="gold", expected=(5, 5)) if v.kind == "trap" else v, "gold", False),
    ],
)
def test_each_screen(change, screen, rejects):
    found = {each.screen: each.rejects for each in one_judge(change).findings}
    assert found[screen] is rejects


def test_one_trap_of_five_is_flagged_only():
    judge = one_judge(lambda v: attrs.evolve(v, score=5) if v.clip == "trap1" else v, traps=5)
    assert judge.traps == (1, 5)
    assert [each.rejects for each in judge.findings if each.screen == "traps"] == [False]


def test_who_gave_few_scores_or_none_is_not_called_a_straight_liner():
    votes, attendance = simulate(Truth(quality=QUALITY), Room(clips=1, straight=[1]), 0)
    single = [vote for vote in votes if vote.question == "sync"]
    asked = [*(attrs.evolve(each, asked=4) for each in attendance), Attendance(judge=99, state="invited", asked=4)]
    judges = screened(single, asked)
    assert not judges[1].findings
    assert not judges[99].findings
    assert (judges[99].votes, judges[99].commonest, judges[99].agreement) == (0, None, None)


def test_who_had_no_headphones_is_flagged_and_counts():
    votes, attendance = simulate(Truth(quality=QUALITY), Room(judges=6), 0)
    attendance[0] = attrs.evolve(attendance[0], headphones=False)
    found = screened(votes, attendance)
    judge = found[attendance[0].judge]
    assert [finding.screen for finding in judge.findings] == ["headphones"]
    assert not judge.rejected
