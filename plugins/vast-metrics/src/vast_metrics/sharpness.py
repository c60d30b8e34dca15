"""Sharpness of the drawn face, absolute and relative to the reference."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, Sizes

from . import pairs
from .config import SharpnessConfig

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

BLOCK = 64
"""Height and width of a block in pixels."""
EDGE_BLOCK = 0.002
"""Share of a block's pixels above which edges make it an edge block."""
LOW_CONTRAST = 50
"""Largest contrast of a block, of 255, at which an edge may be :data:`WIDER` pixels wide and still look sharp."""
WIDER, NARROWER = 5, 3
"""Width of an edge, in pixels, with just noticeable blur: at low contrast, and otherwise."""
SLOPE = 2.0
"""Minimum slope of an edge across the rows, in 1 / 255 per pixel, by Sobel's operator, as in the authors' program."""
_STEEP = math.tan(math.radians(22.5))


class Sharpness(Metric):
    """Cumulative probability of blur detection (CPBD) over the region, in [0, 1], and its difference from the
    reference.

    CPBD = P(P_blur <= P_jnb),  P_blur(w) = 1 - exp(-(w / w_jnb)^3.6),  P_jnb = P_blur(w_jnb) = 63 %

    which is the share of edges whose width w is at most w_jnb: 5 pixels in blocks of 64 x 64 with contrast up to 50 (of
    255), 3 in others. Edges are those across the rows, as measured by Marziliano et al.; blocks with edges in at most
    0.2 % of their pixels are ignored. A frame without edges has 0, as in the authors' program. The value is the mean
    over the frames that show the region, using only edges and contrasts inside it (our choice, because the background
    is not drawn). ``sharpness_deviation`` is the value of the prediction minus that of the reference.

    Noise increases sharpness, so exceeding the reference is not better: neither high nor low values are preferred.

    References: N. Narvekar and L. Karam, A No-Reference Image Blur Metric Based on the Cumulative Probability of Blur
    Detection (CPBD), 2011; P. Marziliano et al., Perceptual Blur and Ringing Metrics, 2004.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (
        Measure(name="sharpness", better="neither"),
        Measure(name="sharpness_deviation", better="closer to 0"),
    )

    @classmethod
    def from_config(cls, config: SharpnessConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """CPBD of frames (T, 3, Y, X) in [0, 1].

        Raises :class:`vast_core.errors.NotComputed` if frames are smaller than a block.
        """
        x, y, inside = pairs.frames(prediction, reference, "sharpness")
        if min(x.shape[2:]) < BLOCK:
            raise NotComputed(
                f"sharpness needs blocks of {BLOCK} x {BLOCK} pixels, but the frames are {tuple(x.shape)}"
            )
        shown = inside.flatten(1).any(1).nonzero().flatten().tolist()
        own, other = (
            float(np.mean([cpbd(luma(side[frame]), inside[frame, 0].numpy()) for frame in shown])) for side in (x, y)
        )
        return {"sharpness": own, "sharpness_deviation": own - other}


def luma(frame: Tensor) -> Bytes:
    """ITU-R 601 luma (Y, X) of a frame (3, Y, X) in [0, 1], in 0 to 255."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=frame.dtype)
    return torch.einsum("cyx,c->yx", frame, weights).mul(255).round().clamp(0, 255).byte().numpy()


def cpbd(image: Bytes, inside: Mask) -> float:
    """CPBD of the edges ``inside`` (Y, X) of an image (Y, X); pixels after the last whole block are ignored."""
    blurred = edge_widths(image) > _tolerated(image, inside)
    counted = inside & edges(image) & _each_pixel(edge_blocks(image, inside), image.shape)
    return 1 - float(blurred[counted].mean()) if counted.any() else 0.0


def edges(image: Bytes) -> Mask:
    """Edges across the rows (Y, X), one pixel wide: local maxima of the Sobel slope above 2 levels per pixel.

    The gradient must be within 22.5 degrees of the row's direction.
    """
    slope = np.abs(cv2.Sobel(image, cv2.CV_64F, 1, 0)) / 8
    found = np.zeros(image.shape, bool)  # there are no edges on the image's border
    middle = slope[1:-1, 1:-1]
    found[1:-1, 1:-1] = (middle > SLOPE) & (middle >= slope[1:-1, :-2]) & (middle > slope[1:-1, 2:])
    down, across = np.gradient(image.astype(np.float64))
    level: Mask = (across != 0) & (np.abs(down) <= _STEEP * np.abs(across))
    return found & level


def edge_widths(image: Bytes) -> NDArray[np.int64]:
    """Pixels (Y, X) between the luma extrema before and after each pixel along the row, as if it were an edge."""
    step = np.diff(image.astype(np.int16), axis=1)
    across = np.gradient(image.astype(np.float64), axis=1)
    return np.where(across > 0, _run(step > 0), _run(step < 0))


def edge_blocks(image: Bytes, inside: Mask) -> Mask:
    """Blocks (Y / 64, X / 64) with edges ``inside``, of any direction, in more than 0.2 % of their pixels.

    Canny's edges, after a Gaussian of sigma sqrt(2): the steepest 30 % of the pixels ``inside`` may start an edge, and
    those above 0.4 times the smallest of these slopes continue it: MATLAB's defaults, as in the authors' program.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), math.sqrt(2))
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *order).round().astype(np.int16) for order in ((1, 0), (0, 1)))
    high = float(np.quantile(np.hypot(across.astype(float), down.astype(float))[inside], 0.7))
    found = cv2.Canny(across, down, 0.4 * high, high, L2gradient=True) > 0
    enough: Mask = _blocks(found & inside).mean((1, 3)) > EDGE_BLOCK
    return enough


def _tolerated(image: Bytes, inside: Mask) -> NDArray[np.int64]:
    """The just noticeable width (Y, X), from the contrast ``inside`` each block."""
    brightest = _blocks(np.where(inside, image, 0)).max((1, 3)).astype(int)
    darkest = _blocks(np.where(inside, image, 255)).min((1, 3)).astype(int)
    return _each_pixel(np.where(brightest - darkest <= LOW_CONTRAST, WIDER, NARROWER), image.shape)


def _run(rising: Mask) -> NDArray[np.int64]:
    """Length (Y, X) of the run of steps (Y, X - 1) around each pixel, at least 1 on either side."""
    y, steps = rising.shape
    place = np.arange(steps)
    ended = np.maximum.accumulate(np.where(rising, -1, place), axis=1)
    before = np.zeros((y, steps + 1), np.int64)
    before[:, 2:] = (place - ended)[:, :-1]  # consecutive steps up to the left neighbour
    ends = np.minimum.accumulate(np.where(rising, steps, place)[:, ::-1], axis=1)[:, ::-1]
    after = np.zeros((y, steps + 1), np.int64)
    after[:, :-2] = (ends - place)[:, 1:]  # and from the right one on
    return before + after + 2


def _blocks(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels (Y, X) as (Y / 64, 64, X / 64, 64), without incomplete blocks."""
    y, x = (length // BLOCK for length in pixels.shape)
    return pixels[: y * BLOCK, : x * BLOCK].reshape(y, BLOCK, x, BLOCK)


def _each_pixel(blocks: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Values of blocks at each of their pixels (Y, X), zero outside blocks."""
    whole = np.zeros(shape, blocks.dtype)
    spread = blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)
    whole[: spread.shape[0], : spread.shape[1]] = spread
    return whole
