"""The hybrid decoder keeps every rule, in its defaults and in odd forms."""

import pytest

from vast_core.testing import conformance
from vast_decoders.config import HybridConfig

CONFIGS = [
    HybridConfig(),
    HybridConfig(width=16, recurrent=8, symmetric=(), causal=(3,), linear_trained=False, forcing=1.0),
    HybridConfig(width=16, recurrent=8, symmetric=(2,), causal=(), linear_reach=0, postnet=2, forcing=0.0),
    HybridConfig(width=16, parts="trunk"),
    HybridConfig(parts="linear"),
]


@pytest.mark.parametrize("case", conformance("decoder/hybrid", {"decoder/hybrid": CONFIGS}))
def test_decoder_conforms(case):
    case()
