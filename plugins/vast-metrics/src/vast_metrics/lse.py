"""Lip synchrony by SyncNet: LSE-D, LSE-C and offset."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor
from torch.nn import functional

from vast_core.errors import NotComputed
from vast_core.interfaces import SAMPLE_RATE, Measure, Metric, Performance, Sizes

from . import pairs
from .config import LSEConfig
from .perceptual_weights import Released
from .syncnet import FPS, FRAMES, PICTURE, SyncNet, cepstra, windows

SHIFT = 15
"""Maximum shift of the sound in frames, in both directions."""
SMALLEST = 64
"""Minimum size of a face in pixels, the larger of width and height; the public pipeline needs 100."""
RELEASED = Released(
    what="SyncNet of 2016 (54 MB; whether you may use its published weights is your decision)",
    file="syncnet_v2.safetensors",
    weights="import torch; weights = torch.load('syncnet_v2.model', weights_only=True, map_location='cpu')",
)


class LSE(Metric):
    """Lip-sync error by SyncNet: LSE-D (distance), LSE-C (confidence) and the best offset.

    With embeddings v_t of 5 frames from t on and a_t of the sound at the same time, both of N frames,

    d(s) = 1/N sum_t |v_t - a_(t + s)|,  LSE-D = min_s d(s),  LSE-C = median_s d(s) - LSE-D,  s = -15 ... 15,

    where a is 0 outside the clip, as in the public evaluation. ``lse_offset`` is the best s in milliseconds, positive
    if the sound is late (the public program prints -s, in frames). SyncNet was trained on television: drawn faces may
    score badly even if synchronous.

    The face is cropped as in the public pipeline, a square of 2.8 times half its box's size that extends below the
    chin, but the box is that of ``Performance.region`` instead of a detector's: values are comparable within a
    protocol, and only roughly with published ones. Areas outside the given pictures are grey.

    References: J. S. Chung and A. Zisserman, Out of time: automated lip sync in the wild, 2016; K. R. Prajwal et al.,
    A Lip Sync Expert Is All You Need for Speech to Lip Generation in the Wild, 2020.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (
        Measure(name="lse_d", better="lower"),
        Measure(name="lse_c", better="higher"),
        Measure(name="lse_offset", better="closer to 0", unit="ms"),
    )

    chunk: ClassVar[int] = 8
    """Windows per batch."""
    grey: ClassVar[float] = 110 / 255

    def __init__(self, weights: Path | None) -> None:
        self.weights = weights

    @classmethod
    def from_config(cls, config: LSEConfig, sizes: Sizes) -> Self:
        """Build with the config's weights, which are read on first use."""
        return cls(weights=config.weights)

    @classmethod
    def files(cls, config: LSEConfig) -> list[Path]:
        """The weights file, if it is found."""
        return RELEASED.files(config.weights)

    @cached_property
    def network(self) -> SyncNet:
        """SyncNet with the released weights; raises NotComputed if there are none."""
        with torch.device("meta"):
            network = SyncNet()
        RELEASED.load_into(network, self.weights)
        return network

    @torch.no_grad()
    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The measures for the prediction's frames (T, 3, Y, X) at 25 fps and its sound, at least 1 s of both.

        Raises :class:`vast_core.errors.NotComputed` if they are shorter, the face is smaller than 64 pixels, or there
        are no weights.
        """
        frames, _, region = pairs.frames(prediction, reference, "lse")
        if prediction.wave is None:
            raise NotComputed("the prediction has no sound")
        if prediction.fps != FPS:
            raise NotComputed(f"SyncNet only supports {FPS:g} fps, but the clip has {prediction.fps:g}")
        wave = prediction.wave.detach().cpu().numpy()
        length = min(len(frames), int(len(wave) * FPS // SAMPLE_RATE))
        if length < FPS:
            raise NotComputed(f"a second of pictures and sound is needed, but the clip has {length / FPS:.2f} s")
        boxes = _boxes(region)[:length]
        size = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(1)))
        if size < SMALLEST:
            raise NotComputed(f"a face of {SMALLEST} pixels is needed, but this one has {size:.0f}")
        return self.compare(self._faces(frames[:length], boxes), wave)

    def compare(self, faces: Tensor, wave: NDArray[np.float32]) -> dict[str, float]:
        """The measures of faces (T, 3, 224, 224) in [0, 1], cropped for SyncNet, and their sound (S,)."""
        pictures, sound = (255 * faces).round().flip(1), windows(cepstra(wave), len(faces))
        seen = [
            self.network.see(torch.stack([pictures[at : at + FRAMES].transpose(0, 1) for at in some]))
            for some in torch.split(torch.arange(len(sound)), self.chunk)
        ]
        heard = [self.network.hear(some) for some in torch.split(sound, 64)]
        return distances(torch.cat(seen), torch.cat(heard))

    def _faces(self, frames: Tensor, boxes: NDArray[np.float64]) -> Tensor:
        """The face (T, 3, 224, 224) in frames (T, 3, Y, X), around boxes (T, 4) smoothed in time."""
        smooth = median_filter(boxes, size=(13, 1), mode="nearest")
        faces = []
        for frame, (left, top, right, bottom) in zip(frames, smooth, strict=True):
            half = max(right - left, bottom - top) / 2
            x, y = (left + right) / 2, (top + bottom) / 2
            faces.append(_cut(frame, x - 1.4 * half, y - half, 2.8 * half, self.grey))
        return torch.stack(faces)


def distances(seen: Tensor, heard: Tensor) -> dict[str, float]:
    """LSE-D, LSE-C and offset from embeddings (N, 1024) of pictures and sound."""
    padded = functional.pad(heard, (0, 0, SHIFT, SHIFT))
    mean = torch.stack(
        [functional.pairwise_distance(seen, padded[at : at + len(seen)]).mean() for at in range(2 * SHIFT + 1)]
    )
    best = int(mean.argmin())
    return {
        "lse_d": float(mean[best]),
        "lse_c": float(mean.median() - mean[best]),
        "lse_offset": (best - SHIFT) * 1000 / FPS,
    }


def _boxes(region: Tensor) -> NDArray[np.float64]:
    """Left, top, right and bottom (T, 4) of each frame's region; if it is empty, those of the nearest other frame."""
    found: list[tuple[float, float, float, float] | None] = []
    for mask in region[:, 0]:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        box = None if len(rows) == 0 else (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        found.append(box if box is None else tuple(float(side) for side in box))  # type: ignore[arg-type]
    known = np.array([number for number, box in enumerate(found) if box is not None])
    nearest = [int(known[np.abs(known - number).argmin()]) for number in range(len(found))]
    return np.array([found[number] for number in nearest], float)


def _cut(frame: Tensor, left: float, top: float, side: float, grey: float) -> Tensor:
    """A square of a picture (3, Y, X), resized for SyncNet; grey outside the picture."""
    steps = (torch.arange(PICTURE) + 0.5) / PICTURE * side
    height, width = frame.shape[1:]
    x = (left + steps) / width * 2 - 1
    y = (top + steps) / height * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None].float()
    # shifted, so that the zeros of grid_sample outside the picture become grey
    cut = functional.grid_sample(frame[None] - grey, grid, padding_mode="zeros", align_corners=False) + grey
    return cut[0]
