"""Motion of the face: amount above the mouth, and stability of the lips."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from vast_core.interfaces import Measure, Metric, Performance, Sizes

from . import pairs
from .config import MotionStabilityConfig, UpperFaceDynamicsConfig


class UpperFaceDynamics(Metric):
    """Upper-face dynamics deviation: difference in the motion of brows and lids, reference minus prediction, in mm^2.

    FDD = 1/|U| sum_(v in U) (std_t |y_tv - n_v|^2 - std_t |x_tv - n_v|^2)

    with x the prediction, y the reference, n the neutral face and std over all T frames (not T - 1). Signed:
    positive if the prediction moves too little, negative if too much; average over clips before taking the absolute
    value. The squared norm follows the published code; the paper's text has no square. Both sides are measured from the
    reference's neutral face (our choice), so that a wrong identity does not count as motion.

    References: J. Xing et al., CodeTalker: Speech-Driven 3D Facial Animation with Discrete Motion Prior, 2023.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (Measure(name="upper_face_dynamics", better="closer to 0", unit="mm²"),)

    @classmethod
    def from_config(cls, config: UpperFaceDynamicsConfig, sizes: Sizes) -> Self:
        """Build; there are no options."""
        return cls()

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """FDD for vertices (T, V, 3) with T >= 2; 0 for an identical pair."""
        x, y = pairs.vertices(prediction, reference, "upper_face_dynamics", frames=2)
        neutral = pairs.neutral(reference, "upper_face_dynamics")
        upper = torch.as_tensor(reference.face.upper_face)

        def dynamics(moving: Tensor) -> Tensor:
            return (moving - neutral)[:, upper].square().sum(-1).std(0, correction=0).mean()

        return {"upper_face_dynamics": float(dynamics(y) - dynamics(x))}


class MotionStability(Metric):
    """Motion stability index of the lips, absolute and relative to the reference.

    MSI = 1 / max(floor, 1/|L| sum_(v in lips) sum_(c in x, y, z) var_t a_tvc),
    a_t = (p_(t+1) - 2 p_t + p_(t-1)) fps^2

    in s^4/m^2, var over all T - 2 accelerations. The reciprocal of the variance of acceleration follows StableFace; the
    mean over lip vertices before the reciprocal (so that a single still vertex does not dominate the index), the unit
    and the floor are our choice.

    The index alone is highest for a frozen face. ``motion_stability_deviation`` = 10 log10(MSI / MSI of the
    reference), in dB, is the fair comparison: negative if the prediction jitters more than the reference, positive if
    it is smoother.

    References: J. Ling et al., StableFace: Analyzing and Improving Motion Stability for Talking Face Generation, 2022.
    """

    needs: ClassVar[Literal["vertices", "frames"]] = "vertices"
    measures = (
        Measure(name="motion_stability", better="higher", unit="s⁴/m²"),
        Measure(name="motion_stability_deviation", better="closer to 0", unit="dB"),
    )

    def __init__(self, floor: float) -> None:
        self.floor = floor

    @classmethod
    def from_config(cls, config: MotionStabilityConfig, sizes: Sizes) -> Self:
        """Build with the config's floor."""
        return cls(floor=config.floor)

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """MSI for vertices (T, V, 3) with T >= 4, and its deviation, which is 0 for an identical pair."""
        fps = pairs.rate(prediction, reference, "motion_stability")
        x, y = pairs.vertices(prediction, reference, "motion_stability", frames=4)
        lips = torch.as_tensor(reference.face.lips)
        ours, theirs = (self._index(side[:, lips], fps) for side in (x, y))
        return {"motion_stability": ours, "motion_stability_deviation": 10 * math.log10(ours / theirs)}

    def _index(self, millimetres: Tensor, fps: float) -> float:
        acceleration = torch.diff(millimetres / 1000, n=2, dim=0) * fps**2
        variance = acceleration.var(0, correction=0).sum(-1).mean()
        return 1 / max(self.floor, float(variance))
