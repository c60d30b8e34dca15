"""Agreement against published worked examples."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

from vast_study.analysis.agreement import intraclass, krippendorff

_ = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
)
"""Four observers, twelve units: K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011, section D."""

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
"""Six targets, four judges: P. E. Shrout and J. L. Fleiss, 1979, table 2."""


@pytest.mark.parametrize(("level", "published"), [("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_krippendorffs(level, published):
    assert krippendorff(KRIPPENDORFF, level) == pytest.approx(published, abs=5e-4)


def test_intraclass_correlations_are_shrout_and_fleiss():
    assert intraclass(SHROUT_FLEISS) == (pytest.approx(0.29, abs=5e-3), pytest.approx(0.62, abs=5e-3))


def test_alpha_of_chance_is_nought_and_of_one_mind_is_one():
    rng = np.random.default_rng(0)
    for level in ("ordinal", "interval"):
        assert krippendorff(rng.integers(1, 6, (4, 3000)).astype(float), level) == pytest.approx(0, abs=0.03)
        assert krippendorff(np.tile(np.arange(1.0, 6), (3, 1)), level) == pytest.approx(1)


def test_ranks_and_numbers_differ_where_steps_do():
    """Only the order of the values matters to ranks."""
    stretched = np.where(KRIPPENDORFF == 5, 50, KRIPPENDORFF)
    assert krippendorff(stretched, "ordinal") == krippendorff(KRIPPENDORFF, "ordinal")
    assert krippendorff(stretched, "interval") != pytest.approx(krippendorff(KRIPPENDORFF, "interval"), abs=1e-3)


@pytest.mark.parametrize(
    "scores", [np.full((3, 4), 2.0), np.array([[1, _], [_, 2]]), np.full((2, 2), _), np.zeros((0, 0)), np.ones((1, 1))]
)
def test_what_cannot_be_told_is_not(scores):
    assert krippendorff(scores, "ordinal") is None
    assert krippendorff(scores, "interval") is None


@pytest.mark.parametrize("scores", [np.ones((5, 4)), np.ones((1, 4)), np.ones((4, 1)), np.zeros((0, 3))])
def test_no_correlation_without_spread_or_others(scores):
    assert intraclass(scores) == (None, None)
