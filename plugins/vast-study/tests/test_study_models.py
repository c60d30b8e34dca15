"""Comparisons of systems against statsmodels, scipy, the analysis of variance by hand, and studies of known truth."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

from scipy import stats

from vast_study.analysis.mixed import fit_mixed
from vast_study.analysis.models import compare, compare_systems, friedman, repeated_measures, signed_ranks
from vast_study.analysis.ratings import Ratings
from vast_study.analysis.simulated import Room, Truth, simulate


def simulated(seed, judges=12, systems=3, clips=9, *, better=0.0, judge_system=0.3, clip_system=0.2):
    """Scores (J, K, N) that are not rounded; the first system is better by so much."""
    rng = np.random.default_rng(seed)
    scores = 3 + rng.normal(0, 0.4, (judges, 1, 1)) + rng.normal(0, 0.3, (1, 1, clips))
    scores = (
        scores + rng.normal(0, judge_system, (judges, systems, 1)) + rng.normal(0, clip_system, (1, systems, clips))
    )
    scores += rng.normal(0, 0.6, (judges, systems, clips))
    scores[:, 0] += better
    return scores


def rounded(scores):
    return np.clip(np.round(scores), 1, 5)


NAMES = ["ours", "one", "two", "three", "four"]


def compared(scores):
    return compare_systems("sync", NAMES[: scores.shape[1]], scores)


# ------------------------------------------------------------------------------------------------------ mixed model


EFFECTS = ("judge", "clip", "judge × system", "clip × system")
ORACLES = "pip install 'vast-avatar[oracles]'"


@pytest.fixture
def theirs():
    """The module of statsmodels."""
    return pytest.importorskip("statsmodels.regression.mixed_linear_model", reason=ORACLES)


def statsmodels(theirs, scores):
    """The same model, as statsmodels has it."""
    judge, system, clip = place = np.nonzero(~np.isnan(scores))
    width = scores.shape[1]
    columns = [
        np.eye(found.size)[number]
        for levels in (judge, clip, judge * width + system, clip * width + system)
        for found, number in [np.unique(levels, return_inverse=True)]
    ]
    labels = [
        [[f"{name} {level}" for level in range(own.shape[1])]] for name, own in zip(EFFECTS, columns, strict=True)
    ]
    spec = theirs.VCSpec(list(EFFECTS), labels, [[own] for own in columns])
    return theirs.MixedLM(scores[place], np.eye(width)[system], np.zeros(len(judge), int), exog_vc=spec)


@pytest.mark.parametrize(
    ("seed", "missing", "judge_system"), [(0, 0, 0.3), (1, 0, 0.3), (2, 0.25, 0.3), (3, 0.5, 0.3), (4, 0, 0)]
)
def test_the_mixed_model_is_statsmodels(theirs, seed, missing, judge_system):
    """Held at our optimum, statsmodels has our likelihood, means and errors; nowhere does it have a higher likelihood.

    Its own optimiser is not asked: where that stops, sometimes far below the optimum, depends on the processor.
    """
    scores = simulated(seed, 10, 3, 7, better=0.5, judge_system=judge_system)
    scores[np.random.default_rng(seed).random(scores.shape) < missing] = np.nan
    ours, model = fit_mixed(scores), statsmodels(theirs, scores)
    deviations = dict(ours.components)
    assert ("judge × system" in deviations) == (judge_system > 0)
    # statsmodels divides by these, so none is zero
    ratios = np.array([max((deviations.get(name, 0) / deviations["rest"]) ** 2, 1e-9) for name in EFFECTS])

    def at(ratios, means=ours.means):
        """Its parameters; (4,) variances of the effects, divided by that of the rest."""
        return theirs.MixedLMParams.from_components(fe_params=means, cov_re=np.zeros((0, 0)), vcomp=ratios)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = at(np.zeros(4), means=np.ones(3))
        found = model.fit(reml=True, method="lbfgs", start_params=at(ratios), free=held)
    assert found.vcomp / found.scale == pytest.approx(ratios)
    assert found.llf == pytest.approx(ours.likelihood, abs=1e-6)
    assert found.fe_params == pytest.approx(ours.means)
    assert math.sqrt(found.scale) == pytest.approx(deviations["rest"], rel=1e-5)
    covariance = found.cov_params()[:3, :3]
    expected = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert ours.contrast(0, 1)[:2] == pytest.approx((found.fe_params[0] - found.fe_params[1], expected), rel=1e-5)

    rng = np.random.default_rng(seed)
    near = [ratios * np.exp(rng.normal(0, size, 4)) for size in np.geomspace(0.01, 1, 60)]
    far = np.exp(rng.uniform(math.log(1e-4), math.log(10), (200, 4)))
    assert max(model.loglike(at(point)) for point in (*near, *far)) < ours.likelihood + 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_of_complete_scores_it_is_the_analysis_of_variance(seed):
    """Where no variance is nought, F = MS_K / (MS_JK + MS_KN - MS_rest), and likewise the errors of differences."""
    scores = simulated(seed)
    judges, systems, clips = scores.shape

    def mean(*axes):
        return scores.mean(axis=axes, keepdims=True)

    whole = mean(0, 1, 2)
    by_judge = mean(2) - mean(1, 2) - mean(0, 2) + whole
    by_clip = mean(0) - mean(0, 1) - mean(0, 2) + whole
    square_judge = clips * (by_judge**2).sum() / (judges - 1) / (systems - 1)
    square_clip = judges * (by_clip**2).sum() / (clips - 1) / (systems - 1)
    rest = scores - by_judge - by_clip - mean(0, 2) - (mean(1, 2) - whole) - (mean(0, 1) - whole)
    square_rest = (rest**2).sum() / ((judges - 1) * (clips - 1) * systems)
    error = square_judge + square_clip - square_rest
    assert min(square_judge, square_clip) > square_rest
    fit = fit_mixed(scores)
    assert fit.contrast(0, 2)[0] == pytest.approx(mean(0, 2)[0, 0, 0] - mean(0, 2)[0, 2, 0])
    assert fit.contrast(0, 2)[1] == pytest.approx(math.sqrt(2 * error / judges / clips), rel=1e-3)
    f, upper, lower = fit.omnibus()
    square = judges * clips * ((mean(0, 2) - whole) ** 2).sum() / (systems - 1)
    assert f == pytest.approx(square / error, rel=1e-3)
    assert (upper, lower) == (systems - 1, (min(judges, clips) - 1) * (systems - 1))


def test_standard_deviations_are_found():
    found = dict(fit_mixed(simulated(0, 40, 5, 40)).components)
    known = {"judge": 0.4, "clip": 0.3, "judge × system": 0.3, "clip × system": 0.2, "rest": 0.6}
    assert found == pytest.approx(known, abs=0.08)


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (simulated(0, clips=1), "more than one clip"),
        (simulated(0, judges=1), "more than one judge"),
        (np.full((5, 3, 4), 3.0), "all votes are the same"),
        (np.tile(np.arange(1.0, 4)[None, :, None], (5, 1, 4)), "has no residual variance"),
    ],
)
def test_what_cannot_be_fitted_says_why(scores, why):
    assert why in fit_mixed(scores)


# ------------------------------------------------------------------------------------------------- other tests


def test_without_the_model_judges_are_compared_by_paired_t_tests():
    scores = simulated(0, clips=1, better=0.6)
    found = compared(scores)
    assert found.method == "paired t test by judge"
    assert "more than one clip" in found.why
    pair = next(pair for pair in found.pairs if {pair.first, pair.second} == {"ours", "one"})
    theirs = stats.ttest_rel(scores[:, 0, 0], scores[:, 1, 0])
    assert pair.p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval()
    assert sorted(map(abs, (pair.difference.low, pair.difference.high))) == pytest.approx(sorted(map(abs, interval)))
    assert "ANOVA" in found.omnibus.name


def test_repeated_measures_are_statsmodels():
    anova = pytest.importorskip("statsmodels.stats.anova", reason=ORACLES)
    pandas = pytest.importorskip("pandas", reason=ORACLES)
    means = simulated(1, better=0.4).mean(axis=2)
    judge, system = np.indices(means.shape)
    table = pandas.DataFrame({"score": means.ravel(), "judge": judge.ravel(), "system": system.ravel()})
    theirs = anova.AnovaRM(table, "score", "judge", ["system"]).fit().anova_table.iloc[0]
    assert repeated_measures(means) == pytest.approx((theirs["F Value"], theirs["Num DF"], theirs["Den DF"]))


@pytest.mark.parametrize("seed", range(8))
def test_signed_ranks_are_scipys_with_ties_and_without(seed):
    rng = np.random.default_rng(seed)
    away = rng.normal(0.3, 1, 7)
    assert signed_ranks(away) == pytest.approx(stats.wilcoxon(away, method="exact").pvalue)
    tied = np.round(2 * away) / 2
    tied = tied[tied != 0]
    theirs = stats.wilcoxon(tied, method=stats.PermutationMethod(n_resamples=1e6)).pvalue
    assert signed_ranks(np.append(tied, [0, 0])) == pytest.approx(theirs)


def test_ranks_of_nothing():
    assert signed_ranks(np.zeros(5)) is None
    assert friedman(np.ones((5, 3))) is None
    assert friedman(np.ones((5, 2))) is None
    assert repeated_measures(np.ones((5, 3))) is None
    assert repeated_measures(np.ones((1, 3))) is None


def test_adjusted_by_holm_over_the_pairs_of_a_question():
    found = compared(simulated(2, systems=4, better=0.35))
    p = sorted(pair.p for pair in found.pairs)
    by_hand = [max((6 - number) * own for number, own in enumerate(p[: rank + 1])) for rank in range(6)]
    assert sorted(pair.adjusted for pair in found.pairs) == pytest.approx([min(1, each) for each in by_hand])


def test_pairs_tell_the_difference_from_the_higher_one():
    scores = rounded(simulated(0, systems=4, better=-0.8))
    found = compared(scores)
    assert len(found.pairs) == 6
    assert all(pair.difference.mean >= 0 for pair in found.pairs)
    assert all(pair.second == "ours" for pair in found.pairs if "ours" in (pair.first, pair.second))
    pair = found.pairs[0]
    first, second = (scores[:, NAMES.index(name)] for name in (pair.first, pair.second))
    assert pair.difference.mean == pytest.approx(first.mean() - second.mean())
    assert pair.effect == pytest.approx((first.mean() - second.mean()) / math.sqrt((first.var() + second.var()) / 2))
    assert pair.higher == (first.mean(axis=1) > second.mean(axis=1) + 1e-9).sum()


@pytest.mark.parametrize("scores", [np.full((0, 0, 0), np.nan), np.full((2, 1, 3), 3.0), np.full((1, 1, 1), 4.0)])
def test_with_nothing_to_compare_there_is_no_pair(scores):
    found = compared(scores)
    assert (found.pairs, found.omnibus) == ((), None)


def test_systems_that_nobody_rated_together_are_not_compared():
    scores = np.full((4, 2, 1), np.nan)
    scores[:2, 0], scores[2:, 1] = 3, 4
    assert compared(scores).pairs == ()


# ------------------------------------------------------------------------------------------------- known truth


def test_where_systems_are_equal_a_winner_is_rare():
    """One study in twenty over all pairs; comparing all votes as independent names one far more often."""
    named = naive = alike = 0
    studies = 120
    for seed in range(studies):
        scores = rounded(simulated(seed, 12, 3, 6, judge_system=0.3, clip_system=0.2))
        found = compared(scores)
        assert found.method == "mixed model"
        named += any(pair.evident for pair in found.pairs)
        alike += found.omnibus.p < 0.05
        naive += stats.f_oneway(*scores.transpose(1, 0, 2).reshape(3, -1)).pvalue < 0.05
    assert named / studies <= 0.1  # 5 % and 2.5 standard deviations of 120 draws
    assert alike / studies <= 0.1
    assert naive / studies > 0.12


def test_a_system_known_to_be_better_is_found_and_no_other():
    quality = {"ours": [3.8, 3.7, 3.6], "one": [3.2, 3.1, 3.0], "two": [3.2, 3.1, 3.0], "three": [3.2, 3.1, 3.0]}
    found = others = 0
    for seed in range(10):
        votes, _ = simulate(Truth(quality=quality), Room(judges=13), seed)
        for question in compare(Ratings.of(votes, Room().questions, list(quality))):
            winners = {(pair.first, pair.second) for pair in question.pairs if pair.evident}
            found += len(winners & {("ours", name) for name in ("one", "two", "three")})
            others += any("ours" not in pair for pair in winners)
    assert found >= 0.9 * 90
    assert others <= 0.1 * 30
