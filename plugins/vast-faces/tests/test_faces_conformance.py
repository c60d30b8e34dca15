"""The landmark face keeps every rule of the conformance kit, in two widths; tracking where its weights are found."""

import os
from pathlib import Path

import pytest

from vast_core.testing import conformance
from vast_faces import weights
from vast_faces.config import LandmarksConfig

MODELS = Path(__file__).resolve().parents[3] / "../shared/models"
FILE = None if os.environ.get("VAST_WEIGHTS") or not MODELS.is_dir() else str(MODELS)
NARROW = LandmarksConfig(weights=FILE, coefficients=3, lower_face=2, texture=64)


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    def refused():
        raise OSError("tests download nothing")

    monkeypatch.setattr(weights, "_download", refused)


@pytest.mark.parametrize("case", conformance("face/landmarks", {"face/landmarks": LandmarksConfig(weights=FILE)}))
def test_conforms(case):
    case()


@pytest.mark.slow
@pytest.mark.parametrize("case", conformance("face/landmarks", {"face/landmarks": NARROW}))
def test_conforms_with_few_coefficients(case):
    case()
