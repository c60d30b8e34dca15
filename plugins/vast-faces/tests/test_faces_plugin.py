"""The declaration: light, and true to the interface."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from vast_core.interfaces import Face
from vast_faces.config import LandmarksConfig
from vast_faces.plugin import vast_components


def test_the_component_is_declared_and_loads():
    (component,) = vast_components()
    assert (component.kind, component.name) == ("face", "landmarks")
    assert component.config is LandmarksConfig
    assert issubclass(component.load(), Face)


def test_declaring_imports_nothing_heavy():
    code = (
        "import sys, vast_faces.plugin as p; p.vast_components(); "
        "heavy = {'torch', 'numpy', 'cv2', 'scipy', 'ai_edge_litert', 'safetensors'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sizes_follow_the_config():
    sizes = LandmarksConfig(coefficients=20, lower_face=8).sizes()
    assert sizes == {"expression": 20, "lower_face": 8, "vertices": 468}


@pytest.mark.parametrize(
    "options",
    [
        {"coefficients": 0},
        {"coefficients": 8},
        {"lower_face": 0},
        {"threads": 0},
        {"confidence": 1.5},
        {"gap": -1.0},
        {"shortest": 0.0},
        {"texture": 100},
    ],
)
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options)) + "|lower_face"):
        LandmarksConfig(**options)


def test_every_option_is_explained():
    source = LandmarksConfig.__module__
    text = sys.modules[source].__spec__.loader.get_source(source)
    for field in attrs.fields(LandmarksConfig):
        after = text.split(f"    {field.name}: ", 1)[1].split("\n", 1)[1]
        assert after.lstrip().startswith('"""'), field.name
