"""Intervals and tests against tables, statsmodels and simulation; and what no evidence looks like."""

import numpy as np
import pytest

from vast_ablation.statistics import compare
from vast_core.report import estimate, holm

ORACLES = "pip install 'vast-avatar[oracles]'"


def test_interval_is_that_of_the_book():
    # 3 values: t(0.975, 2) = 4.302653 (any table); s = 1, so the half-length is 4.302653 / sqrt(3)
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.count) == (2.0, 3)
    assert found.high - found.mean == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_interval_agrees_with_statsmodels():
    theirs = pytest.importorskip("statsmodels.stats.weightstats", reason=ORACLES)
    values = np.random.default_rng(0).normal(3, 2, 7)
    found = estimate(values)
    assert (found.low, found.high) == pytest.approx(theirs.DescrStatsW(values).tconfint_mean())


def test_one_seed_has_no_interval_and_no_test():
    assert estimate([4.0]).low is None
    (found,) = compare({1: 1.0}, {"planar": {1: 2.0}}, "lower").values()
    assert (found.p, found.adjusted, found.verdict) == (None, None, "not tested")
    assert found.difference.mean == 1.0


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        estimate([1.0, float("nan")])
    with pytest.raises(ValueError, match="finite"):
        estimate([])


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_holm_agrees_with_statsmodels(count):
    theirs = pytest.importorskip("statsmodels.stats.multitest", reason=ORACLES)
    p = np.random.default_rng(count).beta(0.3, 2, count).tolist()
    assert holm(p) == pytest.approx(theirs.multipletests(p, method="holm")[1])


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []


def test_paired_test_agrees_with_statsmodels_and_uses_common_seeds_only():
    theirs = pytest.importorskip("statsmodels.stats.weightstats", reason=ORACLES)
    rng = np.random.default_rng(1)
    base = {seed: float(v) for seed, v in enumerate(rng.normal(size=6))}
    cell = {seed: base[seed] + float(v) for seed, v in enumerate(rng.normal(0.3, 0.2, 5))}
    (found,) = compare(base, {"planar": {**cell, 99: 1e9}}, "higher").values()
    differences = [cell[seed] - base[seed] for seed in range(5)]
    assert found.difference.count == 5
    assert found.p == pytest.approx(theirs.DescrStatsW(differences).ttest_mean(0)[1])
    assert found.adjusted == found.p  # a family of one


@pytest.mark.parametrize(
    ("better", "values", "verdict"),
    [
        ("lower", [0.8, 0.81, 0.79], "better"),
        ("lower", [1.2, 1.21, 1.19], "worse"),
        ("higher", [1.2, 1.21, 1.19], "better"),
        ("closer to 0", [-0.8, -0.81, -0.79], "better"),
        ("closer to 0", [-1.2, -1.21, -1.19], "worse"),
        ("lower", [0.5, 1.6, 0.8], "no evidence"),
        ("neither", [1.2, 1.21, 1.19], "different"),
    ],
)
def test_verdict_follows_the_direction_and_the_evidence(better, values, verdict):
    base = dict.fromkeys(range(3), 1.0)
    (found,) = compare(base, {"cell": dict(enumerate(values))}, better).values()
    assert found.verdict == verdict


def test_equal_cells_give_no_evidence_and_a_constant_difference_no_test():
    base = {1: 0.1, 2: 0.2, 3: 0.3}
    found = compare(base, {"same": dict(base), "shifted": {seed: v + 0.7 for seed, v in base.items()}}, "lower")
    assert (found["same"].p, found["same"].verdict) == (1.0, "no evidence")
    assert (found["shifted"].p, found["shifted"].verdict) == (None, "not tested")


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="'upward'"):
        compare({1: 1.0}, {"cell": {1: 1.0}}, "upward")


def test_where_nothing_differs_winners_are_as_rare_as_promised():
    """Holm holds the chance of any false winner among the cells of a measure at 5 %."""
    rng = np.random.default_rng(2)
    families = 400
    false = 0
    for _ in range(families):
        draws = rng.normal(size=(6, 5))
        base, *cells = ({seed: float(v) for seed, v in enumerate(row)} for row in draws)
        found = compare(base, {str(n): cell for n, cell in enumerate(cells)}, "lower")
        false += any(one.verdict in ("better", "worse") for one in found.values())
    assert false / families < 0.05 + 3 * (0.05 * 0.95 / families) ** 0.5
    assert false > 0  # the test would find a difference, if one were there
