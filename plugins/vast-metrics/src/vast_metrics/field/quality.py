"""THEval's three measures of pictures, by networks of the library pyiqa, if the user has installed it.

pyiqa and its weights have licences that forbid commercial use, and it downloads the weights at first use: hence no
dependency, not even an optional one. Frames are those of the protocol, a square around the face, not the whole video.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Performance

from .measure import FieldMeasure, scored

PADDING = 10
"""Pixels around the box of the mouth, as in THEval."""

MISSING = (
    "the library pyiqa is not installed\n"
    "Its code and weights are licensed for non-commercial use only. If that is your use: pip install pyiqa. It "
    "downloads the weights of {network} when it first runs."
)


class PictureQuality(FieldMeasure):
    """A no-reference quality of every ``every``-th frame, mean over these."""

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    network: ClassVar[str]
    """Its name in pyiqa."""

    def value(self, performance: Performance) -> float:
        """Raises NotComputed without pyiqa."""
        score = self._score
        with torch.no_grad():
            scores = [float(score(picture[None])) for picture in self.pictures(performance)]
        return sum(scores) / len(scores)

    def pictures(self, performance: Performance) -> Iterator[Tensor]:
        """The pictures (3, Y, X) that are judged."""
        yield from present(performance)[:: self.options.every]

    @cached_property
    def _score(self) -> Callable[[Tensor], Any]:
        try:
            library = importlib.import_module("pyiqa")
        except ModuleNotFoundError as error:
            if error.name != "pyiqa":
                raise NotComputed(f"pyiqa lacks the package {error.name}: pip install {error.name}") from error
            raise NotComputed(MISSING.format(network=self.network)) from error
        network: Callable[[Tensor], Any] = library.create_metric(self.network, device=torch.device("cpu"))
        return network


class Aesthetics(PictureQuality):
    """Aesthetics by TOPIQ-IAA."""

    measures = scored("theval_aesthetics")
    network: ClassVar[str] = "topiq_iaa"


class FaceQuality(PictureQuality):
    """Quality of the face by TOPIQ-NR-face."""

    measures = scored("theval_face_quality")
    network: ClassVar[str] = "topiq_nr-face"


class MouthQuality(PictureQuality):
    """Quality of the mouth by MUSIQ, of the box of the lips with 10 pixels around it."""

    measures = scored("theval_mouth_quality")
    network: ClassVar[str] = "musiq"

    def pictures(self, performance: Performance) -> Iterator[Tensor]:
        """The mouth of each frame. Raises NotComputed if it is not known, or never inside the frames."""
        frames, boxes = present(performance), performance.mouth
        if boxes is None:
            raise NotComputed("it is not known where the mouth is")
        y, x = frames.shape[2:]
        shown = 0
        for frame, (across, down, width, height) in zip(
            frames[:: self.options.every], boxes[:: self.options.every].tolist(), strict=True
        ):
            left, right = max(0, int(across - width / 2) - PADDING), min(x, int(across + width / 2) + PADDING)
            top, bottom = max(0, int(down - height / 2) - PADDING), min(y, int(down + height / 2) + PADDING)
            if left < right and top < bottom:
                shown += 1
                yield frame[:, top:bottom, left:right]
        if not shown:
            raise NotComputed("the mouth is outside every frame")


def present(performance: Performance) -> Tensor:
    """The frames (T, 3, Y, X) in float32 on the CPU."""
    if performance.frames is None:
        raise NotComputed("there are no frames")
    return performance.frames.detach().to("cpu", torch.float32)
