"""Mean opinion scores against sums done by hand, and their intervals against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

from vast_study.analysis.ratings import Ratings, mean_over_clips
from vast_study.analysis.scores import mean_scores, two_way
from vast_study.votes import RawVote


def vote(judge, system, clip, score, question="sync", kind="rated"):
    return RawVote(
        judge=judge,
        kind=kind,
        system=system,
        clip=clip,
        question=question,
        score=score,
        block=1,
        position=0,
        seconds=5.0,
        latency=4.0,
        changes=0,
        expected=None,
    )


GIVEN = [("a", 1, "x", 2), ("a", 1, "y", 3), ("a", 2, "x", 4), ("a", 3, "x", 5), ("a", 3, "y", 4), ("b", 1, "x", 1)]


def test_scores_are_means_of_judges_means_with_students_interval():
    votes = [vote(judge, system, clip, score) for system, judge, clip, score in GIVEN]
    first, second = mean_scores(Ratings.of(votes, ["sync", "naturalness"], ["a", "b", "c"]))
    # by hand: judges' means 2.5, 4, 4.5; their mean 3.667, s = 1.0408, t(.975, 2) = 4.3027
    assert first.score.mean == pytest.approx(11 / 3)
    assert first.score.high - first.score.mean == pytest.approx(4.30265 * 1.040833 / math.sqrt(3), rel=1e-4)
    # by hand: votes 2 3 4 5 4, mean 3.6, s = 1.1402, t(.975, 4) = 2.7764
    assert first.over_votes.high == pytest.approx(3.6 + 2.77645 * 1.140175 / math.sqrt(5), rel=1e-4)
    assert (first.judges, first.votes, first.counts) == (3, 5, (0, 1, 1, 2, 1))
    assert first.over_both is None, "a vote is missing"
    assert (second.system, second.score.mean, second.score.low, second.judges) == ("b", 1, None, 1)


def test_only_rated_clips_count():
    votes = [vote(1, "a", "x", 4), *(vote(1, None, f"t{kind}", 1, kind=kind) for kind in ("training", "gold", "trap"))]
    votes.append(vote(1, "a", "y", 1, kind="gold"))
    (only,) = mean_scores(Ratings.of(votes, ["sync"], ["a"]))
    assert (only.score.mean, only.votes) == (4, 1)


def test_what_only_votes_know_comes_last_and_a_vote_given_twice_is_refused():
    found = Ratings.of([vote(2, "gone", "x", 4, "old"), vote(1, "a", "x", 3)], ["sync"], ["b", "a"])
    assert (found.questions, found.systems, found.judges) == (("sync", "old"), ("b", "a", "gone"), (1, 2))
    assert found.without({2}).count == 1
    with pytest.raises(ValueError, match="judge 1 answered 'sync' twice of 'x' by 'a'"):
        Ratings.of([vote(1, "a", "x", 3)] * 2, ["sync"], ["a"])


def test_means_leave_out_what_is_missing():
    found = mean_over_clips(np.array([[1, np.nan, 4], [np.nan] * 3]))
    assert found[0] == 2.5
    assert np.isnan(found[1])


def test_two_way_mean_squares_are_statsmodels():
    formula = pytest.importorskip("statsmodels.formula.api", reason="pip install 'vast-avatar[oracles]'")
    anova = pytest.importorskip("statsmodels.stats.anova", reason="pip install 'vast-avatar[oracles]'")
    pandas = pytest.importorskip("pandas", reason="pip install 'vast-avatar[oracles]'")
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (7, 1)) + rng.normal(0, 0.8, (1, 5)) + rng.normal(0, 0.5, (7, 5))
    judge, clip = np.indices(scores.shape)
    table = pandas.DataFrame({"score": scores.ravel(), "judge": judge.ravel(), "clip": clip.ravel()})
    squares = anova.anova_lm(formula.ols("score ~ C(judge) + C(clip)", table).fit())["mean_sq"]
    found = two_way(scores)
    variance = (squares["C(judge)"] + squares["C(clip)"] - squares["Residual"]) / 35
    # Satterthwaite's degrees of freedom lie between the fewest of the parts and the sum of all
    half = (found.high - found.low) / 2 / math.sqrt(variance)
    assert 1.96 < half < 3.0
    from scipy import stats

    parts = [(squares["C(judge)"], 6), (squares["C(clip)"], 4), (squares["Residual"], 24)]
    free = (35 * variance) ** 2 / sum(square**2 / own for square, own in parts)
    assert half == pytest.approx(stats.t.ppf(0.975, free))


@pytest.mark.parametrize("scores", [np.ones((1, 5)), np.ones((5, 1)), np.array([[1, 2], [3, np.nan]])])
def test_no_interval_over_both_of_too_little(scores):
    assert two_way(scores) is None


def test_all_equal_has_no_width():
    found = two_way(np.full((4, 3), 3.0))
    assert (found.low, found.high) == (3, 3)


def test_each_interval_holds_what_it_promises_and_that_over_votes_does_not():
    """How often the truth is within: of these clips for other judges, and of all clips for other judges and clips."""
    within = dict.fromkeys(("judges", "votes", "both", "judges of all clips"), 0)
    studies = 600
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        clips = rng.normal(0, 0.4, (1, 10))
        scores = 3 + rng.normal(0, 0.5, (12, 1)) + clips + rng.normal(0, 0.6, (12, 10))
        ratings = Ratings(
            questions=("sync",),
            judges=tuple(range(12)),
            systems=("a",),
            clips=tuple("abcdefghij"),
            scores=scores[None, :, None],
        )
        (mos,) = mean_scores(ratings)
        these = 3 + clips.mean()
        for name, estimate, truth in (
            ("judges", mos.score, these),
            ("votes", mos.over_votes, these),
            ("both", mos.over_both, 3),
            ("judges of all clips", mos.score, 3),
        ):
            within[name] += estimate.low <= truth <= estimate.high
    shares = {name: count / studies for name, count in within.items()}
    assert shares["judges"] == pytest.approx(0.95, abs=0.03)
    assert shares["both"] == pytest.approx(0.95, abs=0.03)
    assert shares["votes"] < 0.75
    assert shares["judges of all clips"] < 0.9
