"""mel and ppg keep every rule of the conformance kit; those that need weights do so beside their other tests."""

import pytest

from vast_audio.config import MelConfig, PpgConfig
from vast_core.testing import conformance

MEL = [MelConfig(), MelConfig(bands=8), MelConfig(bands=80)]
PPG = [PpgConfig(), PpgConfig(temperature=0.25)]


@pytest.mark.parametrize(
    "case", [*conformance("audio/mel", {"audio/mel": MEL}), *conformance("audio/ppg", {"audio/ppg": PPG})]
)
def test_conforms(case):
    case()
