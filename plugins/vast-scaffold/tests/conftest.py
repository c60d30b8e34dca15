"""The fixtures of the core's tests that make real packages, for packages that this plugin writes."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_SPEC = spec_from_file_location("core_fixtures", Path(__file__).parents[3] / "tests" / "conftest.py")
_CORE = module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CORE)
packages, environment = _CORE.packages, _CORE.environment
