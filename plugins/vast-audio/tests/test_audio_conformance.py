"""mel and ppg keep every rule of the conformance kit; those that need weights do so beside their other tests."""

import pytest

from vast_audio.config import AcousticConfig, MelConfig, PpgConfig
from vast_core.testing import conformance

MEL = [MelConfig(), MelConfig(bands=8), MelConfig(bands=80)]
PPG = [PpgConfig(), PpgConfig(temperature=0.25), PpgConfig(look_ahead=0.2)]
ACOUSTIC = [AcousticConfig(), AcousticConfig(look_ahead=0.2)]


@pytest.mark.parametrize(
    "case",
    [
        *conformance("audio/mel", {"audio/mel": MEL}),
        *conformance("audio/ppg", {"audio/ppg": PPG}),
        *conformance("audio/acoustic", {"audio/acoustic": ACOUSTIC}),
    ],
)
def test_conforms(case):
    case()
