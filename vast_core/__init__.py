"""The core of vast: the interfaces, the registry that finds their implementations, and the pipeline they form.

Importing this package does not import torch, so that a plugin's declarations stay light.
"""

from __future__ import annotations

from .registry.declarations import Component, SectionSpec, StageSpec
from .registry.hookspecs import hookimpl
from .version import __version__

__all__ = ["Component", "SectionSpec", "StageSpec", "__version__", "hookimpl"]
