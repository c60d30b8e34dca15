"""The core of vast: the interfaces, the registry that finds their implementations, and the pipeline they form.

Importing this package imports no torch, so that a plugin's declarations stay light.
"""

from __future__ import annotations

from .hookspecs import hookimpl
from .registry import Component

__version__ = "0.1.0"

__all__ = ["Component", "__version__", "hookimpl"]
