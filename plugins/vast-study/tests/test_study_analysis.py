"""The study's arithmetic against published examples, other programs, and studies whose truth is known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

from vast_study.analysis.agreement import intraclass_correlation, krippendorff_alpha
from vast_study.analysis.comparison import compare_all, compare_pairs
from vast_study.analysis.scores import mean_opinion_scores
from vast_study.analysis.screening import bt500, screen
from vast_study.votes import RawVote

QUESTIONS = ("sync", "expressiveness", "naturalness")


def vote(judge, system, clip, score, question="sync", kind="rated", position=0, latency=4.0, expected=None):
    return RawVote(
        judge=judge,
        kind=kind,
        system=system,
        clip=clip,
        question=question,
        score=int(score),
        block=1,
        position=position,
        seconds=5.0,
        latency=latency,
        changes=0,
        expected=expected,
    )


def planted(seed=0, judges=13, clips=10, means=None, bad=True, spread=0.7):
    """Votes on systems of known means, by judges who differ in severity; then a straight-liner and one at random."""
    draw = np.random.default_rng(seed)
    means = {"ours": 3.9, "one": 3.3, "two": 3.3, "three": 3.3} if means is None else means
    severity, ease = draw.normal(0, 0.35, judges), draw.normal(0, 0.2, clips)
    found = []
    for question, judge in product(QUESTIONS, range(1, judges + 1)):
        for place, (system, clip) in enumerate(product(means, range(clips))):
            true = means[system] + severity[judge - 1] + ease[clip] + draw.normal(0, spread)
            found.append(vote(judge, system, f"c{clip}", np.clip(round(true), 1, 5), question, position=place))
    if bad:
        for question, (place, (system, clip)) in product(QUESTIONS, enumerate(product(means, range(clips)))):
            found.append(vote(judges + 1, system, f"c{clip}", 3, question, position=place))
            found.append(vote(judges + 2, system, f"c{clip}", draw.integers(1, 6), question, position=place))
    for judge, trap in product(range(1, judges + 1 + 2 * bad), range(2)):
        fails = judge == judges + 2
        for question in QUESTIONS:
            found.append(
                vote(judge, None, f"t{trap}", 5 if fails else 2, question, "trap", 100 + trap, expected=(2, 2))
            )
    return found


# ------------------------------------------------------------------------------------------------------ agreement

# Krippendorff 2011, section C and D: four observers, twelve units, missing data
RELIABILITY = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, math.nan, math.nan, math.nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, math.nan, 3],
        [math.nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, math.nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, math.nan],
    ]
).T


@pytest.mark.parametrize(("level", "published"), [("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_the_published_one(level, published):
    assert krippendorff_alpha(RELIABILITY, level) == pytest.approx(published, abs=5e-4)


def test_alpha_of_chance_is_near_nought_and_of_one_mind_is_one():
    draw = np.random.default_rng(0)
    assert abs(krippendorff_alpha(draw.integers(1, 6, (2000, 4)).astype(float), "ordinal")) < 0.03
    assert krippendorff_alpha(np.tile(np.arange(1.0, 6)[:, None], 3), "ordinal") == pytest.approx(1)
    assert math.isnan(krippendorff_alpha(np.full((4, 3), 2.0)))
    assert math.isnan(krippendorff_alpha(np.array([[1.0, math.nan], [math.nan, 2.0]])))


def test_intraclass_correlation_is_shrout_and_fleiss():
    # Shrout & Fleiss 1979, table 2: six targets, four judges; table 4: ICC(2,1) = .29, ICC(2,4) = .62
    table = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    one, four = intraclass_correlation(table)
    assert (one, four) == (pytest.approx(0.29, abs=5e-3), pytest.approx(0.62, abs=5e-3))


# ------------------------------------------------------------------------------------------------------ screening


def sureal_statistics(votes):
    """What Netflix's sureal makes of the same votes: P + Q over N and |P - Q| over P + Q, by judge."""
    import sureal.config

    if not hasattr(sureal.config, "SurealConfig"):
        pytest.skip("sureal has no SurealConfig; it cannot be asked")
    from sureal.dataset_reader import RawDatasetReader
    from sureal.subjective_model import SubjrejMosModel

    shown = list(dict.fromkeys((v.system, v.clip, v.question) for v in votes))
    scores = {place: {} for place in shown}
    for v in votes:
        scores[v.system, v.clip, v.question][str(v.judge)] = v.score

    class Dataset:
        dataset_name = "planted"
        ref_videos = [{"content_id": 0, "content_name": "all", "path": "all"}]
        dis_videos = [
            {"content_id": 0, "asset_id": number, "path": str(number), "os": scores[place]}
            for number, place in enumerate(shown)
        ]

    found = SubjrejMosModel(RawDatasetReader(Dataset)).run_modeling()
    observers = sorted({str(v.judge) for v in votes})
    return {
        int(judge): pair
        for judge, *pair in zip(
            observers, found["observer_rejected_1st_stats"], found["observer_rejected_2nd_stats"], strict=True
        )
    }, {int(judge) for judge, out in zip(observers, found["observer_rejected"], strict=True) if out}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bt500_agrees_with_sureal(seed):
    votes = [v for v in planted(seed, means=dict.fromkeys("abcd", 3.0), spread=0.4) if v.kind == "rated"]
    theirs, rejected = sureal_statistics(votes)
    ours = bt500(votes)
    for judge, (share, balance) in theirs.items():
        assert ours[judge].share == pytest.approx(share)
        assert ours[judge].balance == pytest.approx(balance, nan_ok=True)
    assert {judge for judge, found in ours.items() if found.rejected} == rejected
    assert rejected <= {15}, "the one at random"


def test_bt500_rejects_one_who_answers_at_random():
    found = bt500([v for v in planted(0, means=dict.fromkeys("abcd", 3.0), spread=0.4) if v.kind == "rated"])
    assert {judge for judge, one in found.items() if one.rejected} == {15}


def test_the_bad_judges_are_found_and_nobody_else():
    found = {judge.judge: judge for judge in screen(planted())}
    assert {judge for judge, one in found.items() if one.rejected} == {14, 15}
    assert any("straight-liner" in reason for reason in found[14].rejected)
    assert any("trap" in reason for reason in found[15].rejected)
    assert any("others" in flag for flag in found[15].flagged)
    assert not any("others" in flag for judge in range(1, 14) for flag in found[judge].flagged)


def test_good_judges_are_rarely_left_out():
    rejected = sum(bool(judge.rejected) for seed in range(20) for judge in screen(planted(seed, bad=False)))
    assert rejected <= 0.03 * 20 * 13


def test_haste_and_gaps_are_flagged_and_reject_nobody():
    votes = [v for v in planted(bad=False) if not (v.judge == 2 and v.position % 2 and v.kind == "rated")]
    hasty = [
        vote(1, v.system, v.clip, v.score, v.question, v.kind, v.position, 0.4, v.expected)
        for v in votes
        if v.judge == 1
    ]
    found = {judge.judge: judge for judge in screen([v for v in votes if v.judge != 1] + hasty)}
    assert any("haste" in flag for flag in found[1].flagged)
    assert any("incomplete: 60 of 120" in flag for flag in found[2].flagged)
    assert not found[1].rejected
    assert not found[2].rejected


# --------------------------------------------------------------------------------------------------------- scores


def test_scores_are_means_of_judges_means_with_students_interval():
    votes = [
        vote(1, "a", "x", 2),
        vote(1, "a", "y", 3),
        vote(2, "a", "x", 4),
        vote(3, "a", "x", 5),
        vote(3, "a", "y", 4),
    ]
    (score,) = mean_opinion_scores(votes, ["a", "b"], ["sync", "naturalness"])
    # by hand: judges' means 2.5, 4, 4.5; mean 3.667, s = 1.0408, t(.975, 2) = 4.3027
    assert score.over_judges.mean == pytest.approx(11 / 3)
    assert score.over_judges.high == pytest.approx(11 / 3 + 4.30265 * 1.040833 / math.sqrt(3), rel=1e-4)
    assert score.over_votes.count == 5
    assert score.counts == (0, 1, 1, 2, 1)


def test_intervals_over_judges_cover_and_those_over_votes_do_not():
    """What stands in the report of the two intervals, by simulation: severity is shared by a judge's votes."""
    covered = {"judges": 0, "votes": 0}
    for seed in range(200):
        draw = np.random.default_rng(seed)
        severity = draw.normal(0, 0.6, 12)
        votes = [
            vote(j, "a", f"c{c}", np.clip(round(3 + severity[j] + draw.normal(0, 0.6)), 1, 5))
            for j, c in product(range(12), range(20))
        ]
        (score,) = mean_opinion_scores(votes, ["a"], ["sync"])
        covered["judges"] += score.over_judges.low <= 3 <= score.over_judges.high
        covered["votes"] += score.over_votes.low <= 3 <= score.over_votes.high
    assert covered["judges"] >= 182  # 95 % of 200, less 2.6 standard deviations
    assert covered["votes"] <= 120


# ---------------------------------------------------------------------------------------------------------- tests


def test_the_planted_winner_is_found_and_no_other():
    votes = planted(bad=False)
    for question in QUESTIONS:
        verdicts = {
            (p.first, p.second): p.verdict for p in compare_pairs(votes, ["ours", "one", "two", "three"], question)
        }
        assert {pair for pair, verdict in verdicts.items() if verdict == "higher"} == {
            ("ours", "one"),
            ("ours", "two"),
            ("ours", "three"),
        }
        assert set(verdicts.values()) == {"higher", "no evidence"}


def test_equal_systems_win_rarely():
    """No more than one study in twenty names a winner where there is none, over all pairs of a question."""
    false = 0
    for seed in range(150):
        votes = [v for v in planted(seed, means=dict.fromkeys("abc", 3.3), bad=False) if v.question == "sync"]
        false += any(pair.verdict in ("higher", "lower") for pair in compare_pairs(votes, list("abc"), "sync"))
    assert false <= 0.08 * 150


def test_paired_tests_are_scipys_on_means_by_hand():
    from scipy import stats

    votes = planted(3, bad=False)
    (pair,) = compare_pairs(votes, ["ours", "one"], "sync")

    def by(name, key):
        own = [v for v in votes if v.question == "sync" and v.system == name]
        return [np.mean([v.score for v in own if getattr(v, key) == k]) for k in sorted({getattr(v, key) for v in own})]

    assert pair.p_judges == pytest.approx(stats.ttest_rel(by("ours", "judge"), by("one", "judge")).pvalue)
    assert pair.p_clips == pytest.approx(stats.ttest_rel(by("ours", "clip"), by("one", "clip")).pvalue)


def test_the_mixed_model_knows_systems_from_chance():
    assert compare_all(planted(bad=False), "sync").p < 1e-6
    p = [compare_all(planted(s, 8, 6, dict.fromkeys("abc", 3.3), bad=False), "sync").p for s in range(30)]
    assert np.mean(np.array(p) < 0.05) <= 0.2
    assert np.mean(np.array(p) < 0.5) >= 0.25


def test_anova_stands_in_and_is_statsmodels(monkeypatch):
    import pandas
    from statsmodels.stats.anova import AnovaRM

    from vast_study.analysis import comparison

    votes = planted(4, bad=False)
    monkeypatch.setattr(comparison, "_likelihood_ratio", lambda votes: None)
    found = compare_all(votes, "sync")
    table = pandas.DataFrame(
        [(v.judge, v.system, v.score) for v in votes if v.question == "sync" and v.kind == "rated"],
        columns=["judge", "system", "score"],
    )
    theirs = AnovaRM(table, "score", "judge", ["system"], aggregate_func="mean").fit().anova_table.iloc[0]
    assert found.p == pytest.approx(theirs["Pr > F"], rel=1e-6)
    assert f"{theirs['F Value']:.1f}" in found.statistic


@pytest.mark.parametrize("votes", [[], [vote(1, "a", "x", 3)], [vote(1, "a", "x", 3), vote(2, "a", "x", 3)]])
def test_too_little_to_compare(votes):
    assert compare_all(votes, "sync") is None
    assert compare_pairs(votes, ["a", "b"], "sync") == []
