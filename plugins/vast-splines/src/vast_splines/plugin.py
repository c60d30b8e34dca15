"""Declarations of vast-splines; imports neither torch nor zuko."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import SplineConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's component."""
    return [
        Component(
            kind="flow",
            name="spline",
            target="vast_splines.spline:SplineFlow",
            config=SplineConfig,
            summary="a rational quadratic spline for each component, amortised on the prompt; needs zuko",
            reference="Durkan et al. 2019, Neural Spline Flows",
        )
    ]
