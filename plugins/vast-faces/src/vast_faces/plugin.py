"""Declarations of vast-faces; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import LandmarksConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="face",
            name="landmarks",
            target="vast_faces.landmarks:LandmarkFace",
            config=LandmarksConfig,
            summary="the 478-point face landmarker on the canonical mesh, with a linear expression basis",
            reference="Kartynnik et al. 2019, Real-time facial surface geometry from monocular video",
            weights_licence="Apache-2.0 (the face landmarker of MediaPipe)",
        )
    ]
