"""All renderers keep every rule of the conformance kit, with each of the extras to the paper and without."""

import pytest

from vast_core.testing import conformance
from vast_renderers.config import CganConvLstmConfig, MeshConfig, OwnFrameConfig

SMALL = {"size": 32, "width": 8, "discriminator_width": 4}
LETTER = SMALL | {"texture": False, "skips": False, "residual": False, "upsampling": "transposed"}
GAN = [
    CganConvLstmConfig(**SMALL),
    CganConvLstmConfig(**LETTER),
    CganConvLstmConfig(**LETTER, adversarial=0, feature_matching=0),
]
OWN = [
    OwnFrameConfig(**SMALL),
    OwnFrameConfig(**SMALL, remembered=0),
    OwnFrameConfig(**SMALL, adversarial=0, feature_matching=0),
]


@pytest.mark.parametrize(
    "case",
    [
        *conformance("renderer/cgan_convlstm", {"renderer/cgan_convlstm": GAN}),
        *conformance("renderer/own_frame", {"renderer/own_frame": OWN}),
        *conformance("renderer/mesh", {"renderer/mesh": [MeshConfig(size=32)]}),
    ],
)
def test_conforms(case):
    case()
