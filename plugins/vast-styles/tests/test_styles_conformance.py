"""The attentive encoder keeps every rule, in its defaults and in odd forms."""

import pytest

from vast_core.testing import conformance
from vast_styles.config import AttentiveConfig

CONFIGS = [
    AttentiveConfig(),
    AttentiveConfig(size=3, context=2, width=8, heads=2, layers=0),
    AttentiveConfig(size=8, context=5, width=16, window=7),
]


@pytest.mark.parametrize("case", conformance("style/attentive", {"style/attentive": CONFIGS}))
def test_style_conforms(case):
    case()
