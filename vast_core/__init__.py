"""The core of vast: the interfaces, the registry that finds their implementations, and the pipeline they form.

Importing this package imports no torch, so that a plugin's declarations stay light.
"""

from __future__ import annotations

from .declarations import Component, StageSpec
from .hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = ["Component", "StageSpec", "__version__", "hookimpl"]
