"""Inside the process that makes an avatar: say how far it is, and draw what it has learned.

The process is `vast run`, whose hooks lead here if the environment variable ``VAST_STUDIO`` names the folder of a
project and the kind of work.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from vast_core.errors import VastError
from vast_core.files import write_text

from .parent import end_with_parent
from .project import Kind, Place

__all__ = ["STAGES", "STUDIO", "Watcher", "report", "watcher"]

STUDIO = "VAST_STUDIO"
"""Environment variable: the kind of work, a colon, and the folder of the project."""
STAGES = ("prepare", "style", "renderer", "synthesize")
"""The stages that the studio runs."""
DRAWN = 8
"""Pictures of what a stage has learned, evenly over its steps."""


def report(path: Path, **known: Any) -> None:
    """Write how far the work is."""
    write_text(path, json.dumps({"at": time.time(), **known}))


class Watcher:
    """Reports the progress of one run."""

    def __init__(self, kind: Kind, place: Place) -> None:
        self._kind, self._place = kind, place
        self._pipeline: Any = None
        self._stage = STAGES[0]
        self._drawn = -1

    def built(self, pipeline: Any) -> None:
        """Remember the pipeline that is trained."""
        self._pipeline = pipeline

    def started(self) -> None:
        """The run begins: it ends with the studio."""
        end_with_parent()

    def starting(self, stage: str) -> None:
        """A stage begins."""
        self._stage, self._drawn = stage, -1
        self._report()

    def finished(self, run: Any, stage: str) -> None:
        """A stage has ended; after that of the renderer there is something to see."""
        if stage == "renderer":
            self._draw(run, "renderer-end.jpg")

    def step(self, run: Any, step: int, losses: Mapping[str, float]) -> None:
        """A step of training has ended."""
        stage = next(iter(losses)).partition("/")[0]
        if stage != self._stage:  # what another stage trains on its way has no steps of its own in the recipe
            return
        steps = run.recipe.stages[stage].steps
        self._report(step=step, steps=steps)
        if stage == "renderer" and DRAWN * step // steps > self._drawn:
            self._drawn = DRAWN * step // steps
            self._draw(run, f"renderer-{step:06d}.jpg")

    def _report(self, **known: Any) -> None:
        number = STAGES.index(self._stage) if self._stage in STAGES else 0
        report(self._place.progress(self._kind), stage=self._stage, number=number, stages=len(STAGES), **known)

    def _draw(self, run: Any, name: str) -> None:
        from .drawing import draw_avatar

        with suppress(VastError):  # a picture is no reason to end hours of training
            draw_avatar(run, self._pipeline, self._place.pictures / f"{self._kind}-{name}")


@cache
def watcher() -> Watcher | None:
    """The watcher of this process; None if no studio has started it."""
    kind, _, folder = os.environ.get(STUDIO, "").partition(":")
    if kind not in ("quick", "train"):
        return None
    return Watcher("quick" if kind == "quick" else "train", Place(Path(folder)))
