"""Similarity of drawn frames to real ones."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from vast_core.interfaces import Measure, Metric, Performance, Sizes

from . import pairs
from .config import PSNRConfig, SSIMConfig


class PSNR(Metric):
    """Peak signal-to-noise ratio over the region, in dB, in [0, 100].

    PSNR = -10 log10 MSE,  MSE = mean of (x - y)^2 over the region's pixels of all frames, peak 1

    One mean over the whole clip, so frames with more face have more weight. Identical pictures, with an infinite ratio,
    give 100 dB (our choice; rounding to 8 bits alone gives 58.9). By torchmetrics.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="psnr", better="higher", unit="dB"),)

    ceiling: ClassVar[float] = 100.0

    @classmethod
    def from_config(cls, config: PSNRConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """PSNR of frames (T, 3, Y, X) in [0, 1]."""
        x, y, inside = pairs.frames(prediction, reference, "psnr")
        inside = inside.expand_as(x)
        # float64, because float32 loses precision in the sum over a clip's pixels
        decibel = peak_signal_noise_ratio(x[inside].double(), y[inside].double(), data_range=1.0)
        return {"psnr": min(self.ceiling, float(decibel))}


class SSIM(Metric):
    """Structural similarity over the region, in [-1, 1].

    The map of Wang et al. (Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, each colour channel separately) is
    computed on the whole frame, then averaged over the region's pixels, then over the frames that have any. By
    torchmetrics, with a window of 11 pixels.

    References: Z. Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    measures = (Measure(name="ssim", better="higher"),)

    window: ClassVar[int] = 11
    chunk: ClassVar[int] = 16
    """Frames per batch: torchmetrics keeps five filtered copies of its input."""

    @classmethod
    def from_config(cls, config: SSIMConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """SSIM of frames (T, 3, Y, X) in [0, 1], Y and X at least 11; 1 for an identical pair."""
        x, y, inside = pairs.frames(prediction, reference, "ssim")
        if min(x.shape[2:]) < self.window:
            raise ValueError(f"ssim: frames {tuple(x.shape)} are smaller than the window of {self.window} pixels")
        scores = []
        for a, b, where in zip(*(torch.split(side, self.chunk) for side in (x, y, inside)), strict=True):
            _, maps = structural_similarity_index_measure(a, b, data_range=1.0, return_full_image=True)
            pixels = where.flatten(1).sum(1)
            total = (maps.mean(1, keepdim=True) * where).double().flatten(1).sum(1)
            scores.append(total[pixels > 0] / pixels[pixels > 0])
        return {"ssim": float(torch.cat(scores).mean())}
