"""Every metric keeps every rule of the conformance kit."""

import pytest

from vast_core.testing import conformance
from vast_metrics.config import MotionStabilityConfig
from vast_metrics.plugin import vast_components

STABILITY = [MotionStabilityConfig(), MotionStabilityConfig(floor=1e-3)]
NAMES = [f"metric/{component.name}" for component in vast_components()]


@pytest.mark.parametrize(
    "case",
    [
        case
        for name in NAMES
        for case in conformance(name, {name: STABILITY} if name == "metric/motion_stability" else None)
    ],
)
def test_conforms(case):
    case()
