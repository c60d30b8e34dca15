"""What gives a drawn face away: its mouth, lost detail, a rim, and flicker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, Sizes

from . import pairs
from .config import DetailConfig, FlickerConfig, MouthPSNRConfig, RingConfig
from .sharpness import luma

Mask = NDArray[np.bool_]

RING = 0.1
"""Width of the ring around the face, as a share of the face's height."""


class MouthPSNR(Metric):
    """Peak signal-to-noise ratio over the mouth, in dB: see ``psnr``.

    The mouth is the ellipse in the reference's box of the mouth, so it has lips, teeth and tongue, but hardly any skin.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="mouth_psnr", better="higher", unit="dB"),)

    ceiling: ClassVar[float] = 100.0

    @classmethod
    def from_config(cls, config: MouthPSNRConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """PSNR of frames (T, 3, Y, X) in [0, 1]."""
        x, y, _ = pairs.frames(prediction, reference, "mouth_psnr")
        inside = torch.from_numpy(mouths(reference, x, "mouth_psnr"))[:, None].expand_as(x)
        error = float((x[inside] - y[inside]).double().square().mean())
        return {"mouth_psnr": self.ceiling if error == 0 else min(self.ceiling, -10 * float(np.log10(error)))}


class Detail(Metric):
    """Strength of fine detail over face and mouth, relative to the reference: 1 if it is as sharp.

    The square root of the mean, over the frames, of the variance of the Laplacian of luma, drawn divided by real. Below
    1 a picture is soft, above 1 noisy or too crisp.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="face_detail", better="neither"), Measure(name="mouth_detail", better="neither"))

    @classmethod
    def from_config(cls, config: DetailConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Both ratios; without a known mouth, only that of the face."""
        x, y, inside = pairs.frames(prediction, reference, "detail")
        regions = {"face_detail": inside[:, 0].numpy()}
        if reference.mouth is not None:
            regions["mouth_detail"] = mouths(reference, x, "detail")
        return {name: _strength(x, region) / _strength(y, region) for name, region in regions.items()}


class Ring(Metric):
    """Mean absolute error in a ring around the face, of 255: 0 if nothing shows where the drawing ends.

    The ring is a tenth of the face's height wide. ``ring_pattern`` is the energy of luma at periods of 2, 4 and 8
    pixels along rows and columns of face and ring, relative to the reference: above 1 if an upsampling has left its
    grid.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="ring_error", better="lower", unit="/255"), Measure(name="ring_pattern", better="neither"))

    @classmethod
    def from_config(cls, config: RingConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """Error and pattern. Raises NotComputed if the face fills the frames."""
        x, y, inside = pairs.frames(prediction, reference, "ring")
        rings = np.stack([_ring(face) for face in inside[:, 0].numpy()])
        if not rings.any():
            raise NotComputed("the face fills the frames, so there is no ring around it")
        error = (x - y).abs().mean(1)[torch.from_numpy(rings)].mean()
        seen = rings | inside[:, 0].numpy()
        energies = [float(np.mean([_grid(luma(a), b) for a, b in zip(side, seen, strict=True)])) for side in (x, y)]
        return {"ring_error": 255 * float(error), "ring_pattern": energies[0] / max(energies[1], 1e-9)}


class Flicker(Metric):
    """Change from frame to frame that motion does not explain, relative to the reference: 1 if it is as calm.

    Mean over the region of ``|x_(t+1)(p) - x_t(p + flow(p))|``, drawn divided by real, each with the optical flow of
    its own frames.

    References: T. Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="flicker", better="neither"),)

    @classmethod
    def from_config(cls, config: FlickerConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The ratio. Raises NotComputed for a single frame, or if nothing changes in the reference."""
        x, y, inside = pairs.frames(prediction, reference, "flicker")
        if len(x) < 2:
            raise NotComputed("flicker needs at least two frames")
        own, other = (_changes(side, inside[:, 0].numpy()) for side in (x, y))
        if other == 0:
            raise NotComputed("the reference does not change at all")
        return {"flicker": own / other}


def mouths(performance: Performance, frames: Tensor, metric: str) -> Mask:
    """The ellipse (T, Y, X) in each box of the mouth. Raises NotComputed if the boxes are unknown or empty."""
    if performance.mouth is None:
        raise NotComputed(f"{metric} needs to know where the mouth is")
    boxes = performance.mouth.double().numpy()
    rows, columns = np.indices(frames.shape[2:])
    x, y, width, height = (boxes[:, part, None, None] for part in range(4))
    across, down = (columns - x) / np.maximum(width / 2, 1), (rows - y) / np.maximum(height / 2, 1)
    inside: Mask = across**2 + down**2 <= 1
    if not inside.any():
        raise NotComputed(f"{metric}: the mouth is outside every frame")
    return inside


def _over(frames: Tensor, regions: Mask, value: Callable[[NDArray[np.uint8], Mask], float]) -> float:
    """Mean of a value over the frames whose region is not empty."""
    return float(np.mean([value(luma(f), r) for f, r in zip(frames, regions, strict=True) if r.any()]))


def _strength(frames: Tensor, regions: Mask) -> float:
    """Root mean variance of the Laplacian over the regions (T, Y, X), at least 1e-6."""

    def variance(picture: NDArray[np.uint8], region: Mask) -> float:
        return float(cv2.Laplacian(picture, cv2.CV_64F)[region].var())

    return max(math.sqrt(_over(frames, regions, variance)), 1e-6)


def _ring(face: Mask) -> Mask:
    """The ring (Y, X) around a face."""
    rows = np.flatnonzero(face.any(1))
    if not len(rows):
        return face
    radius = max(1, round(RING * (rows[-1] - rows[0] + 1)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(face.astype(np.uint8), disc) > 0) & ~face


def _grid(picture: NDArray[np.uint8], seen: Mask) -> float:
    """Energy at periods of 2, 4 and 8 pixels of the rows and columns of a picture (Y, X), where it is ``seen``."""
    fine = picture - cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 4)
    energy: float = 0.0
    for values, where in ((fine, seen), (fine.T, seen.T)):
        profile = (values * where).sum(0) / np.maximum(where.sum(0), 1)
        place = np.arange(len(profile))
        waves: Iterator[NDArray[Any]] = (np.exp(-2j * np.pi * place / period) for period in (2, 4, 8))
        energy += sum(float(abs(np.mean(profile * wave))) ** 2 for wave in waves)
    return energy


def _changes(frames: Tensor, regions: Mask) -> float:
    """Mean change, of 255, that the flow of frames (T, 3, Y, X) does not explain."""
    pictures = [luma(frame) for frame in frames]
    rows, columns = np.indices(pictures[0].shape, np.float32)
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    changes = []
    for before, after, region in zip(pictures[:-1], pictures[1:], regions[1:], strict=True):
        if region.any():
            flow = finder.calc(after, before, None)
            moved = cv2.remap(before, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
            changes.append(np.abs(after.astype(np.int16) - moved)[region].mean())
    return float(np.mean(changes)) if changes else 0.0
