"""How plugins are found, kept apart and listed. Imports no torch."""

from __future__ import annotations

from .core_stages import CORE_STAGES, PrepareStage, RendererStage, StyleStage, TrainingStage
from .declarations import KINDS, PARTS, RECIPE_KEYS, Component, Kind, Part, SectionSpec, StageSpec
from .discovery import explain, fault_line
from .hookspecs import hookimpl
from .marking import Marker, Origin
from .registry import Registry

__all__ = [
    "CORE_STAGES",
    "KINDS",
    "PARTS",
    "RECIPE_KEYS",
    "Component",
    "Kind",
    "Marker",
    "Origin",
    "Part",
    "PrepareStage",
    "Registry",
    "RendererStage",
    "SectionSpec",
    "StageSpec",
    "StyleStage",
    "TrainingStage",
    "explain",
    "fault_line",
    "hookimpl",
]
